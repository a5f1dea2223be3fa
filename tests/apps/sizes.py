"""The app of ``marks.py`` with tasks that grow."""

from tests.apps.marks import app, mark

kept = []


@app.task(bind=True, name="swell")
def swell(self, tag, megabytes):
    """Keep so much memory for good."""
    mark("start", tag, self.request.id)
    kept.append(b"\1" * (megabytes * 1024 * 1024))
    mark("end", tag, self.request.id)
    return tag
