"""From a call to a message on a queue.

``Publisher`` writes headers and body and hands the message to the broker; it never touches the result
backend. What a call says besides its arguments is settled first, as ``Terms`` (``terms.py``), once
for any number of calls of one kind, so that sending many is cheap.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from umbel.app.announcing import Body, before_publishing, published
from umbel.app.events import SentEvents
from umbel.app.options import checked_id
from umbel.app.outbox import open_outbox
from umbel.app.spreading import Spreader
from umbel.app.terms import Conditions, Terms, has_priority
from umbel.brokers.base import Broker
from umbel.current import context_of, current_context, current_task, outermost_task, running
from umbel.exceptions import EncodeError, MessageTooLarge, OperationalError
from umbel.message.body import NO_EMBED, Content, encode_body
from umbel.message.headers import make_id, make_ids
from umbel.message.message import DELIVERIES, Message
from umbel.message.protocol import resend
from umbel.message.representation import represent
from umbel.message.stencil import Stencil
from umbel.result.async_result import AsyncResult
from umbel.signals import after_task_publish, before_task_publish, task_sent

if TYPE_CHECKING:
    from umbel.app.app import Umbel
    from umbel.app.context import Context
    from umbel.app.retrying import NextCall
    from umbel.app.task import Task

__all__ = ["Publisher"]

logger = logging.getLogger("umbel.app.publisher")

#: Messages handed to the broker at once when many are sent.
_CHUNK = 1000
#: Children of one run that are remembered; their list is part of its result.
_CHILDREN = 1000
_NOTHING: Mapping[str, Any] = {}


class Publisher:
    """Sends the calls of one app. Safe to share between threads."""

    def __init__(self, app: Umbel) -> None:
        self.app = app
        #: The configuration that the rest was read from; ``Config`` makes a new one at each change.
        self._read_from: object = None
        self._conditions: Conditions
        self._broker: Broker
        #: Terms of calls without options, by what their task says.
        self._usual: dict[tuple[Any, ...], Terms] = {}
        self._timeout = 2.0
        self._largest = 0
        self._watched = False
        self._inherits = False
        #: Who tells monitors of each message; None: nobody does.
        self._events: SentEvents | None = None
        self._spreader: Spreader
        self._origin = ("", -1)

    def send(
        self,
        name: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        options: Mapping[str, Any] = _NOTHING,
        *,
        task: Task[..., Any] | None = None,
        task_id: str | None = None,
    ) -> AsyncResult[Any]:
        """Send one call. ``task`` is what its options are taken from, where it is known here."""
        if self._read_from is not self.app.conf.__dict__:
            self._read_settings()
        parent = None if running() is None else _parent()
        if parent is not None and self._inherits:
            options = _inherited(options, task, parent)
        if task is None or options:
            terms = self._conditions.terms(name, args, kwargs, options, task)
        else:
            terms = self._usual.get(task.said()) or self._usual_terms(task, args, kwargs)
        task_id = checked_id(task_id, name) if task_id else make_id()
        message = self._message(terms, task_id, args, kwargs, parent)
        sent = self._spreader.spread((message,), terms.targets) if terms.targets else (message,)
        timeout = self._timeout if terms.timeout is None else terms.timeout
        if (outbox := open_outbox()) is not None:
            outbox.put(self._broker, sent, timeout, self._events)
            return self._result(terms, message, parent)
        self._broker.publish(sent, timeout)
        if after_task_publish.receivers or task_sent.receivers:
            published((message,))
        if self._events is not None:
            self._events.tell((message,))
        if self._watched:
            self._look_for_worker()
        return self._result(terms, message, parent)

    def send_many(
        self,
        task: Task[..., Any],
        calls: Iterable[tuple[Sequence[Any], Mapping[str, Any]]],
        options: Mapping[str, Any],
    ) -> list[AsyncResult[Any]]:
        """Send many calls of one task with the same options, in few round trips."""
        if self._read_from is not self.app.conf.__dict__:
            self._read_settings()
        parent = None if running() is None else _parent()
        if parent is not None and self._inherits:
            options = _inherited(options, task, parent)
        results: list[AsyncResult[Any]] = []
        timeout = options.get("timeout")
        timeout = self._timeout if timeout is None else timeout
        batches = self._made(task, calls, options, parent, results)
        if (outbox := open_outbox()) is not None:
            for messages in batches:
                outbox.put(self._broker, messages, timeout, self._events)
            return results
        if self._tells():
            for messages in batches:
                self._broker.publish(messages, timeout)
                self._tell(messages)
        else:
            self._broker.publish_all(batches, timeout)
        if self._watched and results:
            self._look_for_worker()
        return results

    def _made(
        self,
        task: Task[..., Any],
        calls: Iterable[tuple[Sequence[Any], Mapping[str, Any]]],
        options: Mapping[str, Any],
        parent: Context | None,
        results: list[AsyncResult[Any]],
    ) -> Iterator[list[Message]]:
        """Messages of these calls, some at a time; ``results`` grows with them."""
        waiting = iter(calls)
        while chunk := list(islice(waiting, _CHUNK)):
            args, kwargs = chunk[0]
            terms = self._conditions.terms(task.name, args, kwargs, options, task)
            if self._conditions.router.dynamic or terms.singular or self._tells():
                messages = []
                for args, kwargs in chunk:
                    own = self._conditions.terms(task.name, args, kwargs, options, task)
                    messages.append(self._message(own, make_id(), args, kwargs, parent))
            else:
                messages = self._alike(terms, chunk, parent)
            yield self._spreader.spread(messages, terms.targets) if terms.targets else messages
            results += [self._result(terms, message, parent) for message in messages]

    def _alike(
        self,
        terms: Terms,
        calls: Sequence[tuple[Sequence[Any], Mapping[str, Any]]],
        parent: Context | None,
    ) -> list[Message]:
        """Messages of calls that differ in nothing but their arguments: the first one made as
        always, the others through its stencil."""
        ids = make_ids(len(calls))
        first = self._message(terms, ids[0], *calls[0], parent)
        messages, stencil = [first], Stencil(first)
        # All that a broker asks of a message that has been written: these, its queue and priority.
        task = {"task": first.task}
        for task_id, (args, kwargs) in zip(ids[1:], calls[1:], strict=True):
            body = self._body(terms, args, kwargs)[0]
            written = stencil.write(task_id, body, represent(args), represent(kwargs))
            messages.append(
                replace(first, headers={**task, "id": task_id}, body=b"", written=written)
            )
        return messages

    def hand_over(self, messages: Sequence[Message], timeout: float | None = None) -> None:
        """Give these messages to the broker; ``OperationalError`` when it does not take them."""
        if self._read_from is not self.app.conf.__dict__:
            self._read_settings()
        self._broker.publish(messages, self._timeout if timeout is None else timeout)
        self._tell(messages)
        if self._watched:
            self._look_for_worker()

    def again(self, task: Task[..., Any], request: Context, call: NextCall) -> Message:
        """The message of the next run of the call that ``request`` describes, with its changes."""
        if self._read_from is not self.app.conf.__dict__:
            self._read_settings()
        message = request.message
        assert message is not None
        changes = self._conditions.retry_terms(task.name, call.changes)
        headers = changes.headers
        for header in (DELIVERIES, "redelivered"):
            if header in message.headers:
                headers[header] = 0 if header == DELIVERIES else False
        # A representation of the sender's own hides something, so it stays.
        shown = message.headers.get("argsrepr")
        if shown in (represent(tuple(request.args or ())), represent(list(request.args or ()))):
            headers["argsrepr"] = represent(call.args)
        if message.headers.get("kwargsrepr") == represent(request.kwargs):
            headers["kwargsrepr"] = represent(call.kwargs)
        embed = {**request.following(), **changes.embed}
        serializer = changes.serializer or task.serializer
        compression = changes.compression or message.headers.get("compression")
        made = resend(
            message,
            headers=headers,
            due=changes.due,
            queue=changes.queue,
            priority=changes.priority,
            properties=changes.properties,
            content=encode_body(call.args, call.kwargs, embed, serializer, compression),
        )
        if before_task_publish.receivers:
            return self._announced(made, (call.args, call.kwargs, embed), serializer, compression)
        return made

    def tell_of(self, message: Message) -> None:
        """Tell monitors of a message that is sent with the end of a run."""
        if self._read_from is not self.app.conf.__dict__:
            self._read_settings()
        if self._events is not None:
            self._events.tell((message,))

    # The pieces of sending, in order --------------------------------------------------------------

    def _usual_terms(
        self, task: Task[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Terms:
        terms = self._conditions.terms(task.name, args, kwargs, _NOTHING, task)
        if self._conditions.lasting(task):
            self._usual[task.said()] = terms
        return terms

    def _read_settings(self) -> None:
        conf = self.app.conf
        self.app.finalize()
        read_from = conf.__dict__
        self._usual = {}
        self._conditions = Conditions(conf, self.app.router, strict=self.app.strict)
        self._broker = self.app.broker
        self._timeout = conf.publish_timeout
        self._largest = conf.message_max_size
        self._inherits = conf.task_inherit_parent_priority
        self._events = SentEvents(self.app) if conf.task_send_sent_event else None
        self._spreader = Spreader(self.app.router, self._broker, conf.worker_heartbeat_limit)
        self._watched = self.app.embedded
        self._read_from = read_from

    def check_options(self, options: Mapping[str, Any], name: str) -> None:
        """Refuse options that no call has."""
        if self._read_from is not self.app.conf.__dict__:
            self._read_settings()
        self._conditions.check(options, name)

    def _message(
        self,
        terms: Terms,
        task_id: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        parent: Context | None,
    ) -> Message:
        body, content_type, encoding, compression = self._body(terms, args, kwargs)
        headers = terms.headers.copy()
        headers["id"] = task_id
        headers["root_id"] = headers["root_id"] or task_id
        if headers["argsrepr"] is None:
            headers["argsrepr"] = represent(args)
        if headers["kwargsrepr"] is None:
            headers["kwargsrepr"] = represent(kwargs)
        if parent is None:
            pid = os.getpid()
            origin = self._origin if self._origin[1] == pid else self._new_origin(pid)
            headers["origin"] = headers["origin"] or origin[0]
        else:
            self._inherit(headers, parent)
        if compression is not None:
            headers["compression"] = compression
        message = Message(
            headers=headers,
            body=body,
            content_type=content_type,
            content_encoding=encoding,
            queue=terms.queue,
            exchange=terms.exchange,
            routing_key=terms.routing_key,
            priority=terms.priority,
            due=terms.due,
            reply_to=terms.reply_to,
            correlation_id=terms.correlation_id or task_id,
            delivery_mode=terms.delivery_mode,
            properties=terms.properties,
        )
        if before_task_publish.receivers:
            call = (args, kwargs, terms.embed or NO_EMBED)
            return self._announced(message, call, terms.serializer, terms.compression)
        return message

    def _announced(
        self, message: Message, call: Body, serializer: str, compression: str | None
    ) -> Message:
        """The message as the receivers of ``before_task_publish`` want it."""
        policy = self.app.conf.task_publish_retry_policy or _NOTHING
        message, call = before_publishing(message, call, policy)
        body, _, _, method = encode_body(*call, serializer, compression)
        message.headers.pop("compression", None)
        if method is not None:
            message.headers["compression"] = method
        return replace(message, body=body)

    def _body(self, terms: Terms, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Content:
        try:
            content = encode_body(args, kwargs, terms.embed, terms.serializer, terms.compression)
        except EncodeError as error:
            raise EncodeError(f"{terms.name}: {error}") from error
        if len(content[0]) > self._largest:
            raise MessageTooLarge(
                f"{terms.name}: the arguments are {len(content[0])} bytes; message_max_size is "
                f"{self._largest}. Store them somewhere and send the place"
            )
        return content

    def _inherit(self, headers: dict[str, Any], parent: Context) -> None:
        """What a task that another task sends has from it."""
        headers["origin"] = headers["origin"] or parent.hostname
        headers["parent_id"] = headers["parent_id"] or parent.id
        if headers["root_id"] == headers["id"]:
            headers["root_id"] = parent.root_id or parent.id

    def _new_origin(self, pid: int) -> tuple[str, int]:
        # Asked for with the process id, because a fork must not go on under its parent's name.
        self._origin = (f"gen{pid}@{os.uname().nodename}", pid)
        return self._origin

    def _result(self, terms: Terms, message: Message, parent: Context | None) -> AsyncResult[Any]:
        make = terms.result_cls or AsyncResult
        result: AsyncResult[Any] = make(message.headers["id"], None, terms.name, self.app)
        if terms.ignored:
            result.ignored = True
        if parent is not None and terms.counted and len(parent.children) < _CHILDREN:
            sender = current_task()
            if sender is None or sender.trail:
                parent.children.append(result)
        return result

    def _look_for_worker(self) -> None:
        self._watched = False
        try:
            attended = self._broker.attended()
        except OperationalError:
            return  # the message has been taken; this is no time to complain
        if not attended:
            logger.warning(
                "No worker has ever been attached to %s; start one: %s",
                self._broker.display_url,
                self.app.worker_command or f"umbel -A {self.app.main or 'MODULE'} worker",
            )

    def _tells(self) -> bool:
        """Whether somebody wants to know of each message."""
        return self._events is not None or bool(
            before_task_publish.receivers or after_task_publish.receivers or task_sent.receivers
        )

    def _tell(self, messages: Sequence[Message]) -> None:
        if after_task_publish.receivers or task_sent.receivers:
            published(messages)
        if self._events is not None:
            self._events.tell(messages)


def _inherited(
    options: Mapping[str, Any], task: Task[..., Any] | None, parent: Context
) -> Mapping[str, Any]:
    """The options with the priority of the running task, unless there is another."""
    info = parent.delivery_info
    if info is None or has_priority(options, task):
        return options
    return {**options, "priority": info["priority"]}


def _parent() -> Context | None:
    """The call that a worker is working on here, if that is where we are."""
    context: Context | None = current_context()
    if context is not None and context.called_directly:
        # A task called like a function works on behalf of whoever called it.
        context = context_of(outermost_task())
    return None if context is None or context.called_directly else context
