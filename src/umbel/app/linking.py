"""What follows the end of a task: its callbacks are sent, its errbacks are called or sent.

Workers and runs in the caller do it alike; they differ in how a signature is sent, which each says
itself. An errback that takes ``(request, exc, traceback)`` is called where the task failed. Where that
cannot be, because the process that ran the task is gone, it is sent with a header that describes
the failure, from which the worker that runs it makes these arguments again. What goes wrong here is
logged: the result of the task stands.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING, Any

from umbel.app.arguments import Arguments
from umbel.app.context import Context
from umbel.canvas.links import as_list, check_link
from umbel.canvas.signature import Signature, signature
from umbel.exceptions import WorkerTerminate
from umbel.message import tagged_json
from umbel.message.failure import describe, restore
from umbel.message.message import Message

if TYPE_CHECKING:
    from umbel.app.app import Umbel

__all__ = ["FAILED", "call_errbacks", "failure_of", "send_callbacks", "send_errbacks"]

logger = logging.getLogger("umbel.app.linking")

#: Header of an errback that is sent, and is to be called with more than an id.
FAILED = "umbel-failed"
#: Arguments of a failed task that are larger are left out of that header.
_LARGE = 65536

#: Sends a signature with these arguments and options.
Send = Callable[..., object]


def send_callbacks(app: Umbel, request: Context, value: Any, send: Send) -> None:
    """The task of ``request`` returned ``value``."""
    for link in as_list(request.callbacks):
        try:
            send(_signature(app, link), (value,))
        except Exception:
            logger.exception("Callback %s of task %s[%s] could not be sent", *_place(link, request))


def call_errbacks(
    app: Umbel,
    request: Context,
    error: BaseException,
    traceback: str | None,
    *,
    send: Send,
    run: Callable[[Any], object] | None = None,
) -> None:
    """The task of ``request`` raised ``error``, in this thread. Coroutines are left to ``run``, or sent:
    others may be waiting for this thread."""
    for link in as_list(request.errbacks):
        try:
            errback = _signature(app, link)
            if not takes_failure(errback):
                send(errback, (request.id,))
            elif not errback.type.is_coroutine:
                errback(request, error, traceback)
            elif run is not None:
                run(errback(request, error, traceback))
            else:
                _send_described(errback, request, error, traceback, send)
        except WorkerTerminate:
            raise
        except (Exception, SystemExit):
            logger.exception(
                "Errback %s of task %s[%s] could not be called", *_place(link, request)
            )


def send_errbacks(
    app: Umbel,
    request: Context,
    error: BaseException,
    traceback: str | None,
    send: Send,
) -> None:
    """The task of ``request`` failed somewhere else; nothing of a project is called here."""
    for link in as_list(request.errbacks):
        try:
            errback = _signature(app, link)
            if takes_failure(errback):
                _send_described(errback, request, error, traceback, send)
            else:
                send(errback, (request.id,))
        except Exception:
            logger.exception(
                "Errback %s of task %s[%s] could not be called", *_place(link, request)
            )


def failure_of(message: Message) -> tuple[Context, BaseException, str | None] | None:
    """What an errback that was sent is called with first; None where its message says it all."""
    told = message.headers[FAILED]
    if not isinstance(told, dict) or not isinstance(told.get("request"), dict):
        return None
    request = Context(told["request"], called_directly=False)
    return request, restore(told.get("exc")), told.get("traceback")


def takes_failure(errback: Signature) -> bool:
    """Whether it is known here and takes ``(request, exc, traceback)``. Where a function takes both
    these and a single id, it is as with Celery: the three, unless it is bound to its task."""
    task = errback._known()  # noqa: SLF001 - whether it is known here is no question of users
    if task is None or errback.immutable:
        return False
    arguments = Arguments(task.run, task.name)
    if not _fits(arguments, errback, 3):
        return False
    return isinstance(task.run, FunctionType) or not _fits(arguments, errback, 1)


def _fits(arguments: Arguments, errback: Signature, count: int) -> bool:
    try:
        arguments.check((*(None,) * count, *errback.args), errback.kwargs)
    except TypeError:
        return False
    return True


def _signature(app: Umbel, link: Any) -> Signature:
    check_link(link, of="a link in a message")
    return signature(link, app=app)


def _send_described(
    errback: Signature,
    request: Context,
    error: BaseException,
    traceback: str | None,
    send: Send,
) -> None:
    failed = {"request": _described(request), "exc": describe(error), "traceback": traceback}
    headers = {**(errback.options.get("headers") or {}), FAILED: failed}
    # In place of the last two stands nothing: so many arguments it takes, whoever runs it.
    send(errback, (request.id, None, None), headers=headers)


def _described(request: Context) -> dict[str, Any]:
    headers = request.message.headers if request.message is not None else {"id": request.id}
    described = {"hostname": request.hostname, **headers}
    described.pop(FAILED, None)
    for name in ("args", "kwargs"):
        value = getattr(request, name)
        try:
            if len(tagged_json.encode(value)) <= _LARGE:
                described[name] = value
        except Exception:  # noqa: BLE001, S112 - what only another serializer writes is left out
            continue
    return described


def _place(link: Any, request: Context) -> tuple[Any, ...]:
    return link.get("task") if isinstance(link, dict) else link, request.task, request.id
