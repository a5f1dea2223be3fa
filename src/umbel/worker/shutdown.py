"""What the signals mean that tell a worker to stop.

TERM: finish what runs (warm). QUIT: give it back at once (cold). Platforms that can only send TERM
say REMAP_SIGTERM=SIGQUIT, as with Celery.
"""

from __future__ import annotations

import os
import signal
import threading

__all__ = ["quit_after", "term_is_quit"]


def term_is_quit() -> bool:
    """Whether TERM means what QUIT means."""
    return os.environ.get("REMAP_SIGTERM") == "SIGQUIT"


def quit_after(seconds: float) -> None:
    """Send QUIT to this process then, if it is still there."""
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGQUIT))
    timer.daemon = True
    timer.start()
