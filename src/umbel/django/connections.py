"""Keeps Django's connections right in a worker: none shared over a fork, none stale in a task.

Around each task a worker does what Django does around each request: database connections that are
broken or older than ``CONN_MAX_AGE`` are closed, and caches are told that it is over. Tasks that
run eagerly or are called directly belong to the caller's request; nothing is touched there.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from contextvars import Token
from types import TracebackType
from typing import Any

from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from django.core.cache import caches
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from umbel.worker.job import Job, Outcome
from umbel.worker.middleware.base import Middleware

__all__ = ["FreshConnections", "leave_inherited_connections"]

logger = logging.getLogger("umbel.django")

#: What a child must neither use nor close: its finalizer would end the parent's session on the
#: database server. Kept until the process ends.
_inherited: list[Any] = []


class FreshConnections(Middleware):
    """Closes what must not be reused, in the thread of the task, before and after each run.

    It takes part in admitting and settling and not in what surrounds the call, because handlers
    such as ``on_failure`` use the database after the call has ended. What coroutines use surrounds
    these.
    """

    def __init__(self) -> None:
        #: The connections that this thread kept open after its last task: what has to be looked
        #: at before the next one. Asking Django for them takes longer than many a task.
        self._kept = threading.local()

    def admit(self, job: Job) -> Outcome | None:  # noqa: ARG002 - the signature of the seam
        for connection in getattr(self._kept, "connections", ()):
            _close_if_unfit(connection)
        return None

    def around(self, job: Job) -> AbstractContextManager[Any] | None:
        return _OwnThread() if job.task.is_coroutine else None

    def settle(self, job: Job, outcome: Outcome) -> Outcome:  # noqa: ARG002 - the same
        used = connections.all(initialized_only=True)
        for connection in used:
            connection.queries_log.clear()
            _close_if_unfit(connection)
        self._kept.connections = [one for one in used if one.connection is not None]
        _release_caches()
        return outcome


class _OwnThread:
    """Django's database code, when a coroutine calls it, has a thread of this one's own, as that of
    each request has; the connections of that thread end with the coroutine."""

    _token: Token[ThreadSensitiveContext]

    def __init__(self) -> None:
        self._context = ThreadSensitiveContext()

    def __enter__(self) -> None:
        self._token = SyncToAsync.thread_sensitive_context.set(self._context)

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        SyncToAsync.thread_sensitive_context.reset(self._token)
        thread = SyncToAsync.context_to_thread_executor.pop(self._context, None)
        if thread is not None:  # there is one if it was needed
            thread.submit(connections.close_all)
            thread.shutdown(wait=False)


def leave_inherited_connections(parent: int) -> Callable[[], None]:
    """What a worker process has to do first; ``parent``: the id of the process that asks."""

    def leave() -> None:
        if os.getpid() == parent:
            # A solo worker: nobody else uses what was opened while the project was loaded.
            connections.close_all()
            return
        for connection in connections.all(initialized_only=True):
            _leave_pool(connection)
        for handler in (connections, caches):
            _inherited.extend(handler.all(initialized_only=True))
            for alias in handler:
                with suppress(AttributeError):  # never used before the fork
                    del handler[alias]

    return leave


def _close_if_unfit(connection: BaseDatabaseWrapper) -> None:
    try:
        connection.close_if_unusable_or_obsolete()
    except Exception:
        logger.warning("Closing the connection %r failed", connection.alias, exc_info=True)


def _release_caches() -> None:
    for cache in caches.all(initialized_only=True):
        try:
            cache.close()
        except Exception:
            logger.warning("Closing the cache %r failed", cache, exc_info=True)


def _leave_pool(connection: BaseDatabaseWrapper) -> None:
    """A pool's threads did not come along; Django keeps pools on the class of the wrapper."""
    pools = getattr(connection, "_connection_pools", {})
    if connection.alias in pools:
        _inherited.append(pools.pop(connection.alias))
