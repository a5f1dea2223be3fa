"""How a task went, for whoever sent it. Names as in ``celery.result``."""

from umbel.result.async_result import (
    AsyncResult,
    allow_join_result,
    assert_will_not_block,
    denied_join_result,
)
from umbel.result.eager import EagerResult

__all__ = [
    "AsyncResult",
    "EagerResult",
    "allow_join_result",
    "assert_will_not_block",
    "denied_join_result",
]
