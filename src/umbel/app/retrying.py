"""Running a task again: what ``self.retry`` and ``autoretry_for`` decide and prepare.

The message of the next run is not sent here. ``Retry`` carries it to the worker, which hands it to
the broker in the step that ends the present run, so that a task is never lost and never doubled in
between. Only where a subclass has its own ``apply_async`` is that called at once, as Celery would.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping, Sequence
from inspect import Parameter
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from umbel.app.arguments import Arguments
from umbel.exceptions import OperationalError, Reject, Retry, TaskPredicate
from umbel.message.representation import represent

if TYPE_CHECKING:
    from umbel.app.context import Context
    from umbel.app.task import Task
    from umbel.canvas.signature import Signature

__all__ = [
    "NextCall",
    "as_types",
    "next_retry_delay",
    "retry",
    "retry_automatically",
    "should_autoretry",
]

#: Methods of a task that make the next run, where a subclass has its own.
_SENDING = ("apply_async", "signature_from_request")
_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
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
    args, kwargs = _arguments(task, request, args, kwargs)
    if max_retries is None:
        max_retries = task.max_retries
    else:
        request.retry_limit = max_retries
    if max_retries is not None and retries > max_retries:
        if exc is not None:
            _raise(exc)
        shown, named = _shown(request, args, kwargs)
        raise task.MaxRetriesExceededError(
            f"Can't retry {task.name}[{request.id}] args:{shown} kwargs:{named}",
            task_args=args,
            task_kwargs=kwargs,
        )
    if eta is None and countdown is None:
        countdown = task.default_retry_delay
    changes = {**options, "eta": eta, "countdown": countdown, "retries": retries}
    made = Retry(
        exc=exc,
        when=countdown if eta is None else eta,
        is_eager=request.is_eager,
        sig=task.signature_from_request(request, args, kwargs, **changes),
    )
    call = NextCall(args, kwargs, changes)
    if request.is_eager:
        request.next_call = call
    elif request.message is None or any(map(task.overrides, _SENDING)):
        _send_again(made.sig)
    elif throw:
        made.next_message = request.next_message = task.app.publisher.again(task, request, call)
    else:
        # Nobody may ever see this Retry, so the next run cannot wait for the end of this one.
        task.app.publisher.hand_over((task.app.publisher.again(task, request, call),))
    if throw:
        raise made
    return made


def _shown(request: Context, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """These arguments, or the text in whose place the sender wants it shown, to hide something."""
    headers = {} if request.message is None else request.message.headers
    own, named = request.args or (), request.kwargs or {}
    usual = (None, represent(tuple(own)), represent(list(own)))
    if (text := headers.get("argsrepr")) not in usual:
        args = text
    if (text := headers.get("kwargsrepr")) not in (None, represent(named)):
        kwargs = text
    return args, kwargs


def _send_again(signature: Signature) -> None:
    """Through the subclass's ``apply_async``, with what would make this call again."""
    try:
        signature.apply_async()
    except OperationalError as error:
        # The run cannot be repeated by sending it, but its message is still ours to give back.
        raise Reject(error, requeue=True) from error


def _arguments(
    task: Task[..., Any],
    request: Context,
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """Those of the next run. Where only one sort is given, the other stays as it was, but for
    what would then be given twice."""
    old_args, old_kwargs = request.args or (), request.kwargs or {}
    if args is None and kwargs is None:
        return old_args, old_kwargs
    if args is not None and kwargs is not None:
        return args, kwargs
    parameters = Arguments(task.run, task.name).signature
    if parameters is None:
        return old_args if args is None else args, old_kwargs if kwargs is None else kwargs
    places = [one for one in parameters.parameters.values() if one.kind in _POSITIONAL]
    if args is not None:
        taken = {one.name for one in places[: len(args)]}
        return args, {name: value for name, value in old_kwargs.items() if name not in taken}
    assert kwargs is not None
    changed = dict(kwargs)
    named = [one.name if one.kind is one.POSITIONAL_OR_KEYWORD else None for one in places]
    for place, name in enumerate(named[: len(old_args)]):
        if name is not None and name in changed:
            old_args = [*old_args[:place], changed.pop(name), *old_args[place + 1 :]]
    return old_args, changed


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
