"""The app of ``marks.py`` with tasks that grow, and with modules of the test (``imports``)."""

import os
import sys
from pathlib import Path

from tests.apps.marks import app, mark

sys.path.append(str(Path(os.environ["MARKS_LOG"]).parent))

kept = []


@app.task(bind=True, name="swell")
def swell(self, tag, megabytes):
    """Keep so much memory for good."""
    mark("start", tag, self.request.id)
    kept.append(b"\1" * (megabytes * 1024 * 1024))
    mark("end", tag, self.request.id)
    return tag
