"""Tasks of a Django project: they can also be sent when the transaction commits.

A worker may be faster than the request that sent the task. Sent on commit, a task finds the rows
that the request wrote, and nothing is sent when they are rolled back. Outside of a transaction it is
sent at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ParamSpec, TypeVar, Unpack

from django.db import transaction

from umbel.app.options import CallOptions
from umbel.app.task import Task

__all__ = ["DjangoTask"]

P = ParamSpec("P")
R = TypeVar("R")


class DjangoTask(Task[P, R]):
    """The class of all tasks in a Django project, unless the project has chosen one."""

    def delay_on_commit(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """``delay`` when the transaction of the default database commits."""
        self._assert_fitting(args, kwargs)
        transaction.on_commit(partial(self.delay, *args, **kwargs))

    def apply_async_on_commit(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[CallOptions],
    ) -> None:
        """``apply_async`` when the transaction of the default database commits."""
        self._assert_fitting(args or (), kwargs or {})
        transaction.on_commit(partial(self.apply_async, args, kwargs, **options))

    def _assert_fitting(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Refuse wrong arguments now: at the commit nobody could see who gave them."""
        if self.typing or (self.typing is None and self.app.strict_typing):
            self.__header__(*args, **kwargs)
