"""One command over the bus, in Celery's form, and the replies to it.

Each question has a mailbox of its own, so threads do not disturb each other and late replies reach
nobody. What the commands mean is known to the workers alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from umbel.app.control.replies import Expectation, Reply
from umbel.brokers.bus import Listener, Notice
from umbel.message.audience import Audience
from umbel.message.headers import make_id
from umbel.spelling import nearest

if TYPE_CHECKING:
    from umbel.app.app import Umbel

__all__ = ["ask", "living_nodes", "missing", "tell"]

Arguments = Mapping[str, Any]

#: Seconds to listen on where nobody knows how many are listening: for a node that has just started,
#: and for two nodes of one name.
_GRACE: Final = 0.05


def tell(
    app: Umbel, command: str, arguments: Arguments, audience: Audience, timeout: float
) -> int | None:
    """Tell them, and wait for nothing; how many heard it, where that is known."""
    return _publish(app, _request(command, arguments, audience), timeout)


def ask(
    app: Umbel,
    command: str,
    arguments: Arguments,
    audience: Audience,
    *,
    timeout: float,
    limit: int | None = None,
    callback: Callable[[Reply], object] | None = None,
) -> list[Reply]:
    """Tell them and collect the replies, at most ``limit``, until everybody who is meant has answered
    or ``timeout`` seconds have passed. ``callback`` is called with each reply as it comes."""
    exchange, ticket, name = f"reply.{app.conf.control_exchange}.pidbox", make_id(), make_id()
    request = {
        **_request(command, arguments, audience),
        "ticket": ticket,
        "reply_to": {"exchange": exchange, "routing_key": name},
    }
    replies: list[Reply] = []

    def note(notices: list[Notice]) -> bool:
        """Whether the limit is reached."""
        for notice in notices:
            reply = _reply(notice, ticket, audience)
            if reply is None:
                continue
            _adjust(app, notice.headers.get("clock"))
            replies.append(reply)
            if callback is not None:
                callback(reply)
            if limit is not None and len(replies) >= limit:
                return True
        return False

    with closing(app.broker.bus.open_mailbox(f"{exchange}/{name}")) as mailbox:
        deadline = time.monotonic() + timeout
        reached = _publish(app, request, timeout)
        expected = Expectation(audience, reached, lambda: living_nodes(app))
        while not expected.met(replies):
            left = deadline - time.monotonic()
            if left <= 0:
                return replies
            mailbox.wait(left)
            if note(mailbox.take()):
                return replies
        if reached is None and not audience.destination:
            _listen_on(mailbox, min(_GRACE, deadline - time.monotonic()), note)
    return replies


def living_nodes(app: Umbel) -> list[str]:
    """Names of the workers that the broker has heard of lately, each once."""
    limit = app.conf.worker_heartbeat_limit
    consumers = app.broker.admin.consumers()
    names = [one.id.partition("/")[0] for one in consumers if one.silent_for < limit]
    return list(dict.fromkeys(names))


def missing(name: str, nodes: list[str]) -> str:
    """One line for somebody who named a node that nobody has heard of."""
    if not nodes:
        return f"No node is named {name!r}; the broker has heard of no worker lately"
    return f"No node is named {name!r}{nearest(name, nodes)}"


def _request(command: str, arguments: Arguments, audience: Audience) -> dict[str, Any]:
    return {"method": command, "arguments": dict(arguments), **audience.form()}


def _publish(app: Umbel, request: dict[str, Any], timeout: float) -> int | None:
    headers = {"clock": app.clock.forward(), "expires": time.time() + timeout}
    return app.broker.bus.publish(f"{app.conf.control_exchange}.pidbox", request, headers)


def _listen_on(mailbox: Listener, seconds: float, note: Callable[[list[Notice]], bool]) -> None:
    """Take what comes within these seconds."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        mailbox.wait(left)
        if note(mailbox.take()):
            return


def _adjust(app: Umbel, clock: object) -> None:
    """A reply is later than its question."""
    if isinstance(clock, int):
        app.clock.adjust(clock)


def _reply(notice: Notice, ticket: str, audience: Audience) -> Reply | None:
    """None: not an answer to this question."""
    said = notice.payload
    if notice.headers.get("ticket", ticket) != ticket or not isinstance(said, dict):
        return None
    return {node: reply for node, reply in said.items() if audience.includes(node)} or None
