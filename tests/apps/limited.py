"""The app of ``marks`` with tasks that may start ten times a second."""

from tests.apps.marks import app, mark


@app.task(bind=True, name="ten", rate_limit="10/s")
def ten(self, tag="ten"):
    mark("start", tag, self.request.id)
    return tag


@app.task(bind=True, name="rare", rate_limit="1/h")
def rare(self, tag="rare"):
    mark("start", tag, self.request.id)
    return tag


@app.task(bind=True, name="free")
def free(self, tag="free"):
    mark("start", tag, self.request.id)
    return tag
