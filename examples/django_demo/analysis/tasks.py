"""The work that does not belong into a web request.

``umbel.django`` finds this module by itself: every installed app's ``tasks.py`` is imported.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from analysis.analyse import analyse_file
from analysis.models import Upload
from analysis.sample import write_sample
from umbel import shared_task

__all__ = ["analyse"]

#: Seconds between two announcements of progress.
_INTERVAL = 0.1


@shared_task(bind=True)
def analyse(self: Any, upload_id: str) -> dict[str, Any]:
    """The report on one upload. A sample is written first, if it is not there yet."""
    upload = Upload.objects.get(pk=upload_id)
    path = Path(upload.file.path)
    if upload.kind == Upload.Kind.SAMPLE and not path.exists():
        write_sample(path, _announce(self, "Writing the sample"))
    return analyse_file(path, _announce(self, "Reading the file"))


def _announce(task: Any, step: str) -> Callable[[int, int], None]:
    """A callback that stores the task's progress, but not more often than a page can show it."""
    announced_at = 0.0

    def announce(done: int, total: int) -> None:
        nonlocal announced_at
        now = time.monotonic()
        if now - announced_at >= _INTERVAL:
            announced_at = now
            task.update_state(state="PROGRESS", meta={"step": step, "done": done, "total": total})

    return announce
