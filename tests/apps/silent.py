"""An app whose only task keeps no result; configured like ``tests/apps/marks.py``."""

import os

from tests.apps.marks import mark

from umbel import Umbel

app = Umbel("silent", broker=os.environ["MARKS_BROKER"], backend=os.environ["MARKS_BACKEND"])


@app.task(bind=True, name="silent", ignore_result=True)
def silent(self):
    mark("start", "silent", self.request.id)
