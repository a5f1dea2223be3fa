"""Umbel: a distributed task queue for Django and plain Python that speaks Celery.

you call           it travels       it waits         it runs          it is remembered
app/          →    message/    →    brokers/    →    worker/     →    backends/
                                                        │                 │
                                                     events/          result/ ← you ask
"""

from umbel.app.app import Umbel
from umbel.app.lenient import Celery
from umbel.app.logger import get_task_logger
from umbel.app.proxies import current_app, current_task
from umbel.app.queues import Broadcast, Exchange, Queue
from umbel.app.shared import shared_task
from umbel.app.task import Task
from umbel.canvas.signature import Signature, signature
from umbel.current import set_default_factory
from umbel.message.headers import make_id as uuid
from umbel.result.async_result import AsyncResult
from umbel.version import VERSION

__all__ = [
    "AsyncResult",
    "Broadcast",
    "Celery",
    "Exchange",
    "Queue",
    "Signature",
    "Task",
    "Umbel",
    "__version__",
    "current_app",
    "current_task",
    "get_task_logger",
    "shared_task",
    "signature",
    "uuid",
]

__version__ = VERSION

# Whoever asks for the current app before there is one gets a plain one, as with Celery.
set_default_factory(Umbel)
