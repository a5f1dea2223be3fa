"""Running a task again: what ``self.retry`` and ``autoretry_for`` decide and prepare.

The message of the next run is not sent here. ``Retry`` carries it to the worker, which hands it to
the broker in the step that ends the present run, so that a task is never lost and never doubled in
between. Only where a subclass has its own ``apply_async`` is that called at once, as Celery would.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from umbel.exceptions import OperationalError, Reject, Retry, TaskPredicate

if TYPE_CHECKING:
    from umbel.app.context import Context
    from umbel.app.task import Task

__all__ = [
    "NextCall",
    "as_types",
    "next_retry_delay",
    "retry",
    "retry_automatically",
    "should_autoretry",
]

#: From this retry on, doubling has passed every maximum that anybody means.
_DOUBLINGS = 64


class NextCall(NamedTuple):
    """How the task is to be called next time; ``changes`` are options of ``apply_async``."""

    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    changes: Mapping[str, Any]


def retry(
    task: Task[..., Any],
    *,
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    exc: BaseException | None,
    throw: bool,
    eta: Any,
    countdown: float | None,
    max_retries: int | None,
    options: Mapping[str, Any],
) -> Retry:
    """``Task.retry``: raise (or return) ``Retry`` with the next run, or say that it was enough."""
    request = task.request
    if request.called_directly:
        _raise(exc or Retry("Task can be retried", None))
    retries = (request.retries or 0) + 1
    args = request.args or () if args is None else args
    kwargs = request.kwargs or {} if kwargs is None else kwargs
    if max_retries is None:
        max_retries = task.max_retries
    else:
        request.retry_limit = max_retries
    if max_retries is not None and retries > max_retries:
        if exc is not None:
            _raise(exc)
        raise task.MaxRetriesExceededError(
            f"Can't retry {task.name}[{request.id}] args:{args} kwargs:{kwargs}",
            task_args=args,
            task_kwargs=kwargs,
        )
    if eta is None and countdown is None:
        countdown = task.default_retry_delay
    made = Retry(exc=exc, when=countdown if eta is None else eta, is_eager=request.is_eager)
    changes = {**options, "eta": eta, "countdown": countdown, "retries": retries}
    call = NextCall(args, kwargs, changes)
    if request.is_eager:
        request.next_call = call
    elif request.message is None or task.overrides("apply_async"):
        _send_again(task, request, call)
    elif throw:
        made.next_message = request.next_message = task.app.publisher.again(task, request, call)
    else:
        # Nobody may ever see this Retry, so the next run cannot wait for the end of this one.
        task.app.publisher.hand_over((task.app.publisher.again(task, request, call),))
    if throw:
        raise made
    return made


def _send_again(task: Task[..., Any], request: Context, call: NextCall) -> None:
    """Through the subclass's ``apply_async``, with what would make this call again."""
    known = {name: value for name, value in request.as_execution_options().items() if value}
    delivery = request.delivery_info or {}
    if delivery.get("routing_key") and not delivery.get("exchange"):
        known["queue"] = delivery["routing_key"]
    if delivery.get("priority") is not None:
        known["priority"] = delivery["priority"]
    given = {name: value for name, value in call.changes.items() if value is not None}
    headers = {**known.pop("headers", {}), **(given.pop("headers", None) or {})}
    try:
        task.apply_async(call.args, call.kwargs, **{**known, **given, "headers": headers})
    except OperationalError as error:
        # The run cannot be repeated by sending it, but its message is still ours to give back.
        raise Reject(error, requeue=True) from error


def retry_automatically(task: Task[..., Any], error: BaseException) -> BaseException:
    """What a run that raised ``error`` ends with: the error itself, or a ``Retry`` where
    ``autoretry_for`` asks for one. The task's request must be current."""
    if not should_autoretry(task, error):
        return error
    arguments = dict(task.retry_kwargs)
    request = task.request
    if task.retry_backoff:
        arguments["countdown"] = next_retry_delay(task, request.retries or 0)
    if request.retry_limit is not None:
        arguments["max_retries"] = request.retry_limit
    origin = error.__traceback__
    try:
        return task.retry(exc=error, **arguments)
    except Exception as raised:  # noqa: BLE001 - what a subclass's retry raises is the outcome
        if raised is error:
            raised.__traceback__ = origin
        return raised


def should_autoretry(task: Task[..., Any], error: BaseException) -> bool:
    """Whether ``autoretry_for`` speaks of this error."""
    wanted = task.autoretry_for
    if not wanted or isinstance(error, TaskPredicate):
        return False
    return isinstance(error, as_types(wanted)) and not isinstance(
        error, as_types(task.dont_autoretry_for or ())
    )


def next_retry_delay(task: Task[..., Any], retries: int) -> float:
    """Seconds before the next automatic retry, after so many: ``retry_backoff`` doubled each time,
    at most ``retry_backoff_max``, a random part of it with ``retry_jitter``."""
    if not task.retry_backoff:
        delay: float = task.retry_kwargs.get("countdown", task.default_retry_delay)
        return delay
    longest = int(task.retry_backoff_max)
    first = int(max(1.0, float(task.retry_backoff)))
    seconds = longest if retries >= _DOUBLINGS else min(longest, first * 2**retries)
    if task.retry_jitter:
        seconds = random.randrange(seconds + 1)  # noqa: S311 - spreads load, guards nothing
    return max(0, seconds)


def as_types(kinds: Any) -> tuple[type[BaseException], ...]:
    """One class, or any collection of them, as ``isinstance`` takes it."""
    return (kinds,) if isinstance(kinds, type) else tuple(kinds)


def _raise(error: BaseException) -> NoReturn:
    """Raise ``error`` so that it shows what was being handled, or that very error once more."""
    handled = sys.exception()
    if handled is None or handled is error:
        raise error
    raise error from handled
