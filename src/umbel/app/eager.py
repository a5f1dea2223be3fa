"""Running a task in the caller: ``task.apply()``, and ``delay()`` under ``task_always_eager``.

The same request, handlers and retries as in a worker, only without broker, delay and time limits.
Arguments go through the serializer, so that what would fail on the way fails here too.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from umbel import states
from umbel.app.announcing import began, ended, over
from umbel.app.context import Context
from umbel.app.linking import call_errbacks, send_callbacks
from umbel.app.options import checked_id
from umbel.app.retrying import as_types, retry_automatically
from umbel.canvas.links import embedded
from umbel.canvas.signature import Signature
from umbel.current import current_context
from umbel.exceptions import EncodeError, Ignore, Reject, Retry
from umbel.message.body import encode_body
from umbel.message.failure import ErrorInfo, describe
from umbel.message.headers import make_id
from umbel.message.record import ResultRecord
from umbel.message.refusals import GENERATORS, explain_generator
from umbel.message.serializers import decode
from umbel.result.eager import EagerResult

if TYPE_CHECKING:
    from umbel.app.task import Task

__all__ = ["apply", "instead_of_sending"]

logger = logging.getLogger("umbel.app.eager")

_AFTER = {states.FAILURE: "on_failure", states.RETRY: "on_retry"}


def instead_of_sending(
    task: Task[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    task_id: str | None,
    options: Mapping[str, Any],
) -> EagerResult[Any]:
    """What ``apply_async`` does under ``task_always_eager``."""
    task.app.publisher.check_options(options, task.name)
    args, kwargs = _travelled(task, args, kwargs, options)
    # Through the method, because subclasses override it.
    return task.apply(args, kwargs, task_id=task_id, **options)


def apply(
    task: Task[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    task_id: str | None,
    retries: int,
    throw: bool | None,
    headers: Mapping[str, Any],
    options: Mapping[str, Any],
) -> EagerResult[Any]:
    """``Task.apply``: run it, and again as long as it wants to be retried."""
    app = task.app
    task_id = checked_id(task_id, task.name) if task_id else make_id()
    if throw is None:
        throw = app.conf.task_eager_propagates
    if app.strict:
        args, kwargs = _travelled(task, args, kwargs, options)
    parent = current_context()
    while True:
        request = _request(task, args, kwargs, headers, options)
        request.update(
            id=task_id,
            parent_id=options.get("parent_id") or (parent and parent.id),
            root_id=options.get("root_id") or (parent and parent.root_id) or task_id,
            retries=retries,
        )
        state, value, traceback = _run_told(task, request)
        if state != states.RETRY or request.next_call is None:
            break
        args, kwargs, changes = request.next_call
        retries = changes["retries"]
        links = {"link": request.callbacks, "link_error": request.errbacks}
        options = {**options, **links, **{name: changes[name] for name in links if name in changes}}
    _remember(task, request, state, value, traceback)
    if throw and isinstance(value, BaseException) and state in states.PROPAGATE_STATES:
        raise value
    return EagerResult(task_id, value, state, traceback=traceback, name=task.name)


def _travelled(
    task: Task[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    options: Mapping[str, Any],
) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """The arguments as a worker would get them."""
    serializer = options.get("serializer") or task.serializer
    body, content_type, encoding, _ = encode_body(args, kwargs, None, serializer)
    args, kwargs, _ = decode(body, content_type, encoding, (content_type,))
    return args, kwargs


def _request(
    task: Task[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    headers: Mapping[str, Any],
    options: Mapping[str, Any],
) -> Context:
    ignored = options.get("ignore_result")
    own = {**headers, **(options.get("headers") or {})}
    return Context(
        own,
        task=task.name,
        args=args,
        kwargs=kwargs,
        called_directly=False,
        is_eager=True,
        group=options.get("group_id"),
        group_index=options.get("group_index"),
        shadow=options.get("shadow"),
        callbacks=embedded(options.get("link"), of=f"{task.name}: link"),
        errbacks=embedded(options.get("link_error"), of=f"{task.name}: link_error"),
        timelimit=[options.get("time_limit"), options.get("soft_time_limit")],
        hostname=os.uname().nodename,
        ignore_result=task.ignore_result if ignored is None else ignored,
        headers={name: own[name] for name in own if not hasattr(Context, name)} or None,
        delivery_info={
            "is_eager": True,
            "exchange": options.get("exchange"),
            "routing_key": options.get("routing_key"),
            "priority": options.get("priority"),
            "redelivered": False,
        },
    )


def _run_told(task: Task[..., Any], request: Context) -> tuple[str, Any, str | None]:
    """``_run``, and the signals that go with it."""
    with task.requested(request):
        began(task, request)
        start = time.monotonic()
        state, value, traceback = _run(task, request)
        ended(task, request, state, value, time.monotonic() - start)
        over(task, request, state, value)
    return state, value, traceback


def _run(task: Task[..., Any], request: Context) -> tuple[str, Any, str | None]:
    """State, value or error, and traceback of one run."""
    with task.requested(request):
        try:
            task.before_start(request.id or "", request.args, request.kwargs)
            value = task.callable()(*(request.args or ()), **(request.kwargs or {}))
            if type(value) is CoroutineType:
                value = _awaited(value)
        except Exception as error:  # noqa: BLE001 - a task may raise anything
            return _ended_badly(task, request, retry_automatically(task, error))
        if type(value) in GENERATORS:
            return _ended_badly(task, request, EncodeError(explain_generator(value)))
        if request.callbacks:
            send_callbacks(task.app, request, value, Signature.apply_async)
        task.on_success(value, request.id or "", request.args, request.kwargs)
        task.after_return(
            states.SUCCESS, value, request.id or "", request.args, request.kwargs, None
        )
    return states.SUCCESS, value, None


def _ended_badly(
    task: Task[..., Any], request: Context, error: BaseException
) -> tuple[str, Any, str | None]:
    if isinstance(error, Ignore):
        return states.IGNORED, error, None
    if isinstance(error, Reject):
        return states.REJECTED, error, None
    state = states.RETRY if isinstance(error, Retry) else states.FAILURE
    cause = error.exc if isinstance(error, Retry) and error.exc is not None else error
    information = ErrorInfo.of(cause)
    arguments: tuple[Any, ...] = (request.id, request.args, request.kwargs, information)
    if state == states.FAILURE and request.errbacks:
        how = information.traceback
        call_errbacks(task.app, request, error, how, send=Signature.apply, run=_awaited)
    getattr(task, _AFTER[state])(cause, *arguments)
    if state == states.FAILURE:
        if not isinstance(error, as_types(task.throws or ())):
            logger.error("Task %s[%s] raised %r", task.name, request.id, error)
        task.after_return(state, error, *arguments)
    return state, error, information.traceback


def _remember(
    task: Task[..., Any], request: Context, state: str, value: Any, traceback: str | None
) -> None:
    failed = state != states.SUCCESS
    ignored = request.ignore_result and not (failed and task.store_errors_even_if_ignored)
    backend = task.app.backend if task.store_eager_result and not ignored else None
    if backend is None or state in (states.IGNORED, states.REJECTED):
        return
    backend.store(
        ResultRecord(
            task_id=request.id or "",
            status=state,
            result=describe(value) if failed else value,
            traceback=traceback,
            date_done=datetime.now(UTC).isoformat(),
            name=task.name,
            retries=request.retries,
            worker=request.hostname,
            ttl=task.app.conf.result_expires or None,
        )
    )


def _awaited(coroutine: CoroutineType[Any, Any, Any]) -> Any:
    from umbel.coroutines import run_once  # with asyncio

    return run_once(coroutine)
