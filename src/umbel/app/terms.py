"""The terms of a call: everything that is said about it besides its arguments, made definite.

``Conditions`` is what the settings say, read once; ``terms`` joins it with what the routes, the task and
the call say, the later ones winning, and refuses what cannot be meant. How a message is made of
terms is ``publisher.py``.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from umbel.app.moments import from_now, moment, zone
from umbel.app.option_kinds import check_call_values, odd_limits
from umbel.app.options import CALL_OPTIONS, check_names
from umbel.app.routing import Destination, Router
from umbel.app.settings_check import level_of_the_program
from umbel.app.settings_table.options import PUBLISH_RETRY
from umbel.canvas.links import embed_of, links_of
from umbel.exceptions import ContentDisallowed, UmbelWarning
from umbel.message import serializers
from umbel.message.headers import STANDARD_NAMES, make_headers
from umbel.message.message import DELIVERIES

if TYPE_CHECKING:
    from umbel.app.config import Config
    from umbel.app.task import Task

__all__ = ["Conditions", "RetryTerms", "Terms", "has_priority"]

logger = logging.getLogger("umbel.app.publisher")

_HIGHEST_PRIORITY = 9
_FAR = 30 * 86400.0
#: A moment this long ago is no slip of clocks or of a few lines of code.
_PAST = 1.0
_MODES = {None: 2, "persistent": 2, "transient": 1, 1: 1, 2: 2}
#: Options that a task may have as attributes and a call may have, too.
_SHARED = (
    "queue",
    "exchange",
    "routing_key",
    "priority",
    "expires",
    "delivery_mode",
    "serializer",
    "compression",
)
_WORKFLOW = ("chain", "chord")
#: Headers by which messages are told apart, run and delivered.
_RESERVED = STANDARD_NAMES | {"compression", "redelivered", DELIVERIES}


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What all messages of one kind of call have in common."""

    name: str
    queue: str
    serializer: str
    #: To be copied and completed for each message.
    headers: dict[str, Any]
    exchange: str = ""
    routing_key: str | None = None
    #: Declared queues that each message goes to; empty: ``queue`` alone.
    targets: tuple[str, ...] = ()
    priority: int = 0
    compression: str | None = None
    due: float | None = None
    delivery_mode: int = 2
    reply_to: str | None = None
    correlation_id: str | None = None
    properties: dict[str, Any] = {}
    #: Seconds within which the broker must take it; None: as the setting says.
    timeout: float | None = None
    ignored: bool = False
    #: What follows it; None: nothing.
    embed: dict[str, Any] | None = None
    #: Whether the running task counts it among its children.
    counted: bool = True
    result_cls: Any = None

    @property
    def singular(self) -> bool:
        """Whether messages of these terms differ in more than ids and arguments, or may not."""
        said = self.headers
        return bool(
            self.compression or self.correlation_id or said["argsrepr"] or said["kwargsrepr"]
        )


class RetryTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What changes when a message is sent again; None: as before."""

    headers: dict[str, Any]
    due: float | None
    queue: str | None = None
    priority: int | None = None
    serializer: str | None = None
    compression: str | None = None
    properties: dict[str, Any] = {}
    embed: dict[str, Any] = {}


class Conditions:
    """What one configuration says about sending."""

    def __init__(self, conf: Config, router: Router, *, strict: bool) -> None:
        self.router = router
        self.strict = strict
        self._zone = zone(conf.timezone)
        self._utc = conf.enable_utc
        self._serializer = conf.task_serializer
        self._accepted = tuple(conf.accept_content)
        self._compression = conf.task_compression
        self._priority = conf.task_default_priority or 0
        self._noticed: set[tuple[str, str]] = set()

    def terms(
        self,
        name: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        options: Mapping[str, Any],
        task: Task[..., Any] | None,
    ) -> Terms:
        """The terms of a call; ``task`` is None where only its name is known."""
        if options:
            self.check(options, name)
        said = dict(self._rule(name, args, kwargs, options, task))
        if task is not None:
            said |= _given({option: _explicit(task, option) for option in _SHARED})
            said["ignore_result"] = task.ignore_result
        said |= _given(options)
        return self._settle(name, said)

    def lasting(self, task: Task[..., Any]) -> bool:
        """Whether the terms of this task's calls without options stay as they are, as long as the
        task says the same."""
        return not self.router.dynamic and task.expires is None

    def retry_terms(self, name: str, options: Mapping[str, Any]) -> RetryTerms:
        """What the options of a retry change."""
        self.check(options, name)
        said = _given(options)
        due, eta = self._due(name, said)
        headers: dict[str, Any] = {"retries": said["retries"], "eta": eta}
        if "expires" in said:
            headers["expires"] = self._expires(name, said["expires"])
        for option in ("shadow", "ignore_result", "argsrepr", "kwargsrepr"):
            if option in said:
                headers[option] = said[option]
        if "time_limit" in said or "soft_time_limit" in said:
            headers["timelimit"] = [said.get("time_limit"), said.get("soft_time_limit")]
        queue = None
        if "queue" in said or ("exchange" in said and "routing_key" in said):
            queue = self._destination(said).queue
            if queue in self.router.broadcasts:
                raise ValueError(f"{name}: a retry goes to one queue, but {queue!r} is a broadcast")
        return RetryTerms(
            headers={**headers, **self._own_headers(name, said)},
            due=due,
            queue=queue,
            priority=self._checked_priority(name, said["priority"]) if "priority" in said else None,
            serializer=self._checked_serializer(name, said["serializer"])
            if "serializer" in said
            else None,
            compression=said.get("compression"),
            properties=_unknown(said),
            embed=links_of(name, said),
        )

    def check(self, options: Mapping[str, Any], name: str) -> None:
        """Refuse options that mean nothing (or, for a lenient app, warn about near misses), or
        whose values cannot work."""
        check_names(options, of=f"a call of {name}", known=CALL_OPTIONS, strict=self.strict)
        check_call_values(options, name)
        if options.get("retry_policy"):
            check_names(
                options["retry_policy"],
                of=f"retry_policy in a call of {name}",
                known=PUBLISH_RETRY,
                strict=self.strict,
            )
        self._own_headers(name, options)
        if (limits := odd_limits(options)) and self._first_time(name, "limits"):
            warnings.warn(
                f"a call of {name} has {limits}", UmbelWarning, stacklevel=level_of_the_program()
            )
        for option in _WORKFLOW:
            if options.get(option):
                raise TypeError(f"{name}: {option} is not supported by this version")

    # Details ----------------------------------------------------------------------------------------

    def _rule(
        self,
        name: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        options: Mapping[str, Any],
        task: Task[..., Any] | None,
    ) -> Mapping[str, Any]:
        name = options.get("route_name") or name
        custom = options.get("router")
        if custom is not None:
            found: Mapping[str, Any] = custom.route(dict(options), name, args, kwargs) or {}
            return found
        return self.router.rule(name, args, kwargs, options, task)

    def _settle(self, name: str, said: dict[str, Any]) -> Terms:
        destination = self._destination(said)
        due, eta = self._due(name, said)
        expires = said.get("expires")
        stamped = said.get("stamped_headers")
        ignored = said.get("ignore_result")
        return Terms(
            name=name,
            queue=destination.queue,
            exchange=destination.exchange,
            routing_key=destination.routing_key,
            targets=destination.targets,
            priority=self._checked_priority(name, said.get("priority")),
            serializer=self._checked_serializer(name, said.get("serializer")),
            compression=said.get("compression") or self._compression,
            due=due,
            delivery_mode=_mode(name, said.get("delivery_mode")),
            reply_to=said.get("reply_to"),
            correlation_id=said.get("correlation_id"),
            properties=_unknown(said),
            timeout=said.get("timeout"),
            embed=embed_of(name, said),
            ignored=bool(ignored),
            counted=said.get("add_to_parent", True),
            result_cls=said.get("result_cls"),
            headers=make_headers(
                name,
                "",
                said.get("argsrepr"),
                said.get("kwargsrepr"),
                said.get("origin"),
                shadow=said.get("shadow"),
                eta=eta,
                expires=None if expires is None else self._expires(name, expires),
                group=said.get("group_id"),
                group_index=said.get("group_index"),
                retries=said.get("retries", 0),
                time_limit=said.get("time_limit"),
                soft_time_limit=said.get("soft_time_limit"),
                root_id=said.get("root_id"),
                parent_id=said.get("parent_id"),
                ignore_result=ignored,
                replaced_task_nesting=said.get("replaced_task_nesting", 0),
                stamped_headers=None if stamped is None else list(stamped),
                stamps=said.get("stamps"),
                headers=self._own_headers(name, said),
            ),
        )

    def _own_headers(self, name: str, said: Mapping[str, Any]) -> Mapping[str, Any]:
        """The sender's own headers, without those that are the message's."""
        given: Mapping[str, Any] = said.get("headers") or {}
        taken = _RESERVED & given.keys()
        if not taken:
            return given
        problem = (
            f"{name}: headers names {', '.join(map(repr, sorted(taken)))}, which the message itself "
            "says; choose other names"
        )
        if self.strict:
            raise ValueError(problem)
        if self._first_time(name, f"headers {sorted(taken)}"):
            warnings.warn(
                f"{problem}. They are left out", UmbelWarning, stacklevel=level_of_the_program()
            )
        return {header: value for header, value in given.items() if header not in taken}

    def _destination(self, said: Mapping[str, Any]) -> Destination:
        return self.router.destination(
            said.get("queue"),
            said.get("exchange"),
            said.get("routing_key"),
            said.get("exchange_type"),
        )

    def _due(self, name: str, said: Mapping[str, Any]) -> tuple[float | None, str | None]:
        """When it runs, as a moment and as text; None: at once."""
        eta, countdown = said.get("eta"), said.get("countdown")
        if countdown is not None:
            if eta is not None and self.strict:
                raise ValueError(f"{name}: give either countdown or eta, not both")
            if countdown == 0:
                return None, None
            when = from_now(countdown, what=f"{name}: countdown")
            when = when if self._utc or self._zone is None else when.astimezone(self._zone)
        elif eta is not None:
            when = moment(eta, self._zone, what=f"{name}: eta")
            self._notice_odd_eta(name, when)
        else:
            return None, None
        return when.timestamp(), when.isoformat()

    def _notice_odd_eta(self, name: str, when: datetime) -> None:
        ahead = when.timestamp() - time.time()
        if ahead < -_PAST and self._first_time(name, "past"):
            logger.warning(
                "%s was sent with an eta %.0f seconds ago (%s), so it runs at once",
                name,
                -ahead,
                when,
            )
        elif ahead > _FAR and self._first_time(name, "far"):
            logger.info("%s was sent with an eta %.0f days ahead (%s)", name, ahead / 86400, when)

    def _expires(self, name: str, value: Any) -> str:
        when = moment(value, self._zone, what=f"{name}: expires")
        if when.timestamp() <= time.time() and self._first_time(name, "expired"):
            logger.warning("%s was sent already expired (%s), so it will not run", name, when)
        return when.isoformat()

    def _first_time(self, name: str, what: str) -> bool:
        new = (name, what) not in self._noticed
        self._noticed.add((name, what))
        return new

    def _checked_serializer(self, name: str, chosen: str | None) -> str:
        """What this app's own workers would refuse is refused here, before it has travelled."""
        serializer = chosen or self._serializer
        if serializer in self._accepted or is_accepted(serializer, self._accepted):
            return serializer
        problem = (
            f"{name}: serializer {serializer!r} is not in accept_content, which is "
            f"{', '.join(map(repr, self._accepted))}: workers of this app would refuse the message"
        )
        if self.strict:
            raise ContentDisallowed(problem)
        if self._first_time(name, f"serializer {serializer}"):
            warnings.warn(problem, UmbelWarning, stacklevel=level_of_the_program())
        return serializer

    def _checked_priority(self, name: str, priority: Any) -> int:
        if priority is None:
            return self._priority
        if not isinstance(priority, int) or isinstance(priority, bool):
            raise TypeError(
                f"{name}: priority must be a whole number from 0 to 9, not {priority!r}"
            )
        if not 0 <= priority <= _HIGHEST_PRIORITY:
            if self.strict:
                raise ValueError(f"{name}: priority must be from 0 to 9, not {priority}")
            return max(0, min(priority, _HIGHEST_PRIORITY))
        return priority


def is_accepted(serializer: str, accepted: Sequence[str]) -> bool:
    """Whether an accept list takes it under its content type or another of its names."""
    content_type = serializers.find(serializer).content_type
    known = serializers.names()
    return content_type in {
        serializers.find(word).content_type if word in known else word for word in accepted
    }


def has_priority(options: Mapping[str, Any], task: Task[..., Any] | None) -> bool:
    """Whether the call or the task itself says how urgent it is."""
    said = options.get("priority") is not None
    return said or (task is not None and _explicit(task, "priority") is not None)


def _explicit(task: Task[..., Any], option: str) -> Any:
    """What the task itself or its class says, whatever the settings say."""
    value = task.__dict__.get(option)
    return getattr(type(task), option) if value is None else value


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {option: value for option, value in options.items() if value is not None}


def _unknown(said: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the sender's own travel as properties of the message, as with Celery."""
    return {
        option: value
        for option, value in said.items()
        if option not in CALL_OPTIONS or option == "expiration"
    }


def _mode(name: str, mode: Any) -> int:
    try:
        return _MODES[mode]
    except (KeyError, TypeError):
        raise ValueError(
            f"{name}: delivery_mode must be 2 (persistent) or 1 (transient), not {mode!r}"
        ) from None
