"""Celery's result records in Redis: one key each, and a message to whoever waits for it.

A record is the JSON that Celery writes under ``celery-task-meta-<id>``, with the same text published
on the channel of that name. A broker on the same server may store records itself, in the step that
ends a loan; for that it takes ``store_lua`` and ``encode_record`` from here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final

from umbel.backends.base import ResultBackend
from umbel.drivers.redis import Link, Pool, Refused, Script, read_address
from umbel.exceptions import BackendError, ConnectionLost, DecodeError
from umbel.message import compression, serializers
from umbel.message.record import ResultRecord
from umbel.states import READY_STATES

if TYPE_CHECKING:
    from umbel.backends.redis_waits import RedisWaits
    from umbel.drivers.per_loop import PerLoop

__all__ = ["LOOK_AFTER", "Patience", "RedisBackend"]

#: Celery's, before the task id.
_KEY: Final = "celery-task-meta-"
#: Celery's result_compression: this, content type, a zero byte, the compressed record.
_COMPRESSED: Final = b"\x00celery-compressed\x00"
_AT_ONCE: Final = 1000
#: Seconds after which somebody who waits looks by himself, which also shows a dead connection.
LOOK_AFTER: Final = 25.0
#: Seconds for which somebody who waits puts up with a server that is away.
_PATIENCE: Final = 20.0
_RETRY_FIRST, _RETRY_LAST = 0.02, 0.5

#: ``ttl`` in milliseconds, '' for ever; with '?' before it a record of a ready state stays. What
#: cannot be read as a record (because it is compressed, say) is taken for one of a ready state.
_STORE: Final = """
local READY = {SUCCESS = true, FAILURE = true, REVOKED = true}

local function replaceable(key)
  local stored = redis.pcall('GET', key)
  if not stored or type(stored) == 'table' then -- nothing, or no string: SET replaces it
    return true
  end
  local readable, record = pcall(cjson.decode, stored)
  return readable and type(record) == 'table' and not READY[record.status]
end

local function store(key, ttl, payload)
  if string.sub(ttl, 1, 1) == '?' then
    if not replaceable(key) then
      return
    end
    ttl = string.sub(ttl, 2)
  end
  if ttl == '' then
    redis.call('SET', key, payload)
  else
    redis.call('SET', key, payload, 'PX', ttl)
  end
  redis.call('PUBLISH', key, payload)
end
"""
_STORE_ALL: Final = Script(
    "store_all",
    f"""
-- Store records in their order. KEYS: one for each. ARGV: ttl and payload of each.
{_STORE}
for i = 1, #KEYS do
  store(KEYS[i], ARGV[2 * i - 1], ARGV[2 * i])
end
""",
)
_STORE_IF: Final = Script(
    "store_if",
    f"""
-- Store a record if the one that was looked at is still there. KEYS: 1 key.
-- ARGV: 1 what was there ('' for nothing)  2 ttl  3 payload. Returns whether it was stored.
{_STORE}
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then
  return 0
end
store(KEYS[1], ARGV[2], ARGV[3])
return 1
""",
)


class Patience:
    """How long somebody who waits until ``deadline`` puts up with a server that is away."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self.renew()

    def renew(self) -> None:
        """The server is there."""
        self._away_since: float | None = None
        self._pause = _RETRY_FIRST

    def pause(self, error: ConnectionLost | Refused) -> float:
        """Seconds until the next attempt; the error is raised when there is to be none."""
        if isinstance(error, Refused) and not error.temporary:
            raise error
        now = monotonic()
        if self._away_since is None:
            self._away_since = now
        pause, self._pause = self._pause, min(2 * self._pause, _RETRY_LAST)
        if now + pause >= min(self._deadline, self._away_since + _PATIENCE):
            raise error
        return pause


class RedisBackend(ResultBackend):
    """Constructing it connects to nothing. ``options`` are Celery's
    ``result_backend_transport_options``."""

    store_lua: Final = _STORE

    def __init__(
        self,
        url: str,
        *,
        options: Mapping[str, Any] | None = None,
        serializer: str = "json",
        accept: Collection[str] = ("json",),
    ) -> None:
        self.address = read_address(url, options)
        self.display_url = self.address.url
        self._head = f"{_with_separator(self.address.prefix)}{_KEY}"
        self._serializer = serializers.find(serializer)
        self._accept = serializers.accepted_types(accept) | {self._serializer.content_type}
        self._pool = Pool(self.address)
        self._loops: PerLoop[RedisWaits] | None = None

    # Storing --------------------------------------------------------------------------------------

    def store_many(self, records: Sequence[ResultRecord]) -> None:
        for start in range(0, len(records), _AT_ONCE):
            part = records[start : start + _AT_ONCE]
            encoded = [self.encode_record(record) for record in part]
            whole = [one for one in encoded if one is not None]
            if len(whole) < len(part):
                for record, one in zip(part, encoded, strict=True):
                    if one is None:
                        self._store_carefully(record)
                    else:
                        self._store_all([one])
            else:
                self._store_all(whole)

    def encode_record(self, record: ResultRecord) -> tuple[str, str, bytes] | None:
        """What ``store`` of ``store_lua`` takes; None for an unready state in a format that the
        server cannot read: only a look here can tell whether it may replace what is there."""
        ttl = "" if record.ttl is None else str(max(math.ceil(record.ttl * 1000), 1))
        if record.status not in READY_STATES:
            if self._serializer.name != "json":
                return None
            ttl = f"?{ttl}"
        return self._head + record.task_id, ttl, self._encode(record)

    def _store_all(self, encoded: Sequence[tuple[str, str, bytes]]) -> None:
        if any(ttl.startswith("?") for _, ttl, _ in encoded):
            keys = [key for key, _, _ in encoded]
            values = [value for _, ttl, payload in encoded for value in (ttl, payload)]
            self._pool.eval(_STORE_ALL, keys, values)
            return
        commands: list[tuple[Any, ...]] = []
        for key, ttl, payload in encoded:
            commands.append(("SET", key, payload, "PX", ttl) if ttl else ("SET", key, payload))
            commands.append(("PUBLISH", key, payload))
        self._pool.pipeline(commands)

    def _store_carefully(self, record: ResultRecord) -> None:
        key = self._head + record.task_id
        ttl = "" if record.ttl is None else str(max(math.ceil(record.ttl * 1000), 1))
        payload = self._encode(record)
        while True:
            there = self._pool.call("GET", key) or b""
            if there and self._decode(record.task_id, there).status in READY_STATES:
                return
            if self._pool.eval(_STORE_IF, (key,), (there, ttl, payload)):
                return

    # Reading --------------------------------------------------------------------------------------

    def load(self, task_id: str) -> ResultRecord | None:
        payload = self._pool.call("GET", self._head + task_id)
        return None if payload is None else self._decode(task_id, payload)

    def forget(self, task_id: str) -> None:
        self._pool.call("DEL", self._head + task_id)

    def prune(self) -> int:
        return 0  # the server does it

    def close(self) -> None:
        self._pool.clear()
        if self._loops is not None:
            self._loops.close()

    # Waiting --------------------------------------------------------------------------------------

    def wait(self, task_id: str, timeout: float | None) -> ResultRecord | None:
        deadline = math.inf if timeout is None else monotonic() + timeout
        patience = Patience(deadline)
        again = False
        while True:
            link = self._pool.take()
            try:
                link.connect()
                patience.renew()
                if again and (found := self._look(link, task_id)) is not None:
                    return found
                again = True
                return self._wait_connected(link, task_id, deadline)
            except (ConnectionLost, Refused) as error:
                self._pool.clear()
                pause = patience.pause(error)
            finally:
                link.on_push = None
                self._pool.give(link)
            sleep(pause)

    def _look(self, link: Link, task_id: str) -> ResultRecord | None:
        """Look without a subscription. The server ends one that has to carry more than 32 MB (its
        limit for subscribers), so it may be the very record that ended the last one."""
        return self._ready(task_id, [link.call("GET", self._head + task_id)])

    def _wait_connected(self, link: Link, task_id: str, deadline: float) -> ResultRecord | None:
        """Wait for as long as the connection holds."""
        if link.protocol == 2:  # noqa: PLR2004 - RESP2
            return self._wait_beside(link, task_id, deadline)
        return self._wait_on(link, task_id, deadline)

    def _wait_on(self, link: Link, task_id: str, deadline: float) -> ResultRecord | None:
        """Subscribe and look in one round trip, then take what is pushed."""
        key = self._head + task_id
        arrived: list[bytes] = []
        link.on_push = lambda push: arrived.extend(payloads_of(push, key))
        try:
            payload = link.listen(key, "GET", key)
            while True:
                link.take_pushed(read=False)  # came along with the last answer
                found = self._ready(task_id, (payload, *arrived))
                if found is not None or monotonic() >= deadline:
                    link.send("UNSUBSCRIBE", key)
                    return found
                payload = None
                arrived.clear()
                if link.wait_readable(min(deadline - monotonic(), LOOK_AFTER)):
                    link.take_pushed()
                elif monotonic() < deadline:
                    payload = link.call("GET", key)
        except BaseException:
            link.close()  # and with it the subscription
            raise

    def _wait_beside(self, link: Link, task_id: str, deadline: float) -> ResultRecord | None:
        """Without RESP3 a connection that subscribes can do nothing else."""
        key = self._head + task_id
        listener = Link(self.address)
        try:
            listener.call("SUBSCRIBE", key)
            arrived = [link.call("GET", key)]
            while True:
                found = self._ready(task_id, arrived)
                if found is not None or monotonic() >= deadline:
                    return found
                arrived = []
                if listener.wait_readable(min(deadline - monotonic(), LOOK_AFTER)):
                    for push in listener.receive():
                        arrived += payloads_of(push, key)
                elif monotonic() < deadline:
                    arrived = [link.call("GET", key)]
        finally:
            listener.close()

    def _ready(self, task_id: str, payloads: Iterable[bytes | None]) -> ResultRecord | None:
        for payload in payloads:
            if payload is not None:
                record = self._decode(task_id, payload)
                if record.status in READY_STATES:
                    return record
        return None

    # Inside an event loop -------------------------------------------------------------------------

    async def load_async(self, task_id: str) -> ResultRecord | None:
        payload = await self._waits().load(self._head + task_id)
        return None if payload is None else self._decode(task_id, payload)

    async def forget_async(self, task_id: str) -> None:
        await self._waits().forget(self._head + task_id)

    async def wait_async(self, task_id: str, timeout: float | None) -> ResultRecord | None:
        deadline = math.inf if timeout is None else monotonic() + timeout

        def ready(payload: bytes) -> ResultRecord | None:
            return self._ready(task_id, (payload,))

        return await self._waits().wait(self._head + task_id, ready, deadline)

    def _waits(self) -> RedisWaits:
        """Those of the loop that runs here."""
        if self._loops is None:
            from umbel.backends.redis_waits import waits_per_loop

            self._loops = waits_per_loop(self.address)
        return self._loops.mine()

    # The record -----------------------------------------------------------------------------------

    def _encode(self, record: ResultRecord) -> bytes:
        """In Celery's order; ``group_id`` and ``parent_id`` only where there are any."""
        told: dict[str, Any] = {
            "status": record.status,
            "result": record.result,
            "traceback": record.traceback,
            "children": record.children,
            "date_done": record.date_done,
        }
        if record.group_id is not None:
            told["group_id"] = record.group_id
        if record.parent_id is not None:
            told["parent_id"] = record.parent_id
        if record.extended:
            told |= {name: getattr(record, name) for name in _EXTENDED}
        told["task_id"] = record.task_id
        return serializers.encode(told, self._serializer.name, "result")[2]

    def _decode(self, task_id: str, payload: bytes) -> ResultRecord:
        try:
            told = self._read(payload)
            status = told["status"]
        except (DecodeError, KeyError, TypeError) as error:
            raise BackendError(
                f"What {self.display_url} keeps as the result of {task_id} is not a record: {error}"
            ) from error
        return ResultRecord(
            task_id=told.get("task_id") or task_id,
            status=status,
            result=told.get("result"),
            traceback=told.get("traceback"),
            children=told.get("children") or [],
            date_done=_text(told.get("date_done")),
            group_id=told.get("group_id"),
            parent_id=told.get("parent_id"),
            extended="name" in told,
            **{name: told.get(name) for name in _EXTENDED},
        )

    def _read(self, payload: bytes) -> Any:
        if payload.startswith(_COMPRESSED):
            method, _, rest = payload[len(_COMPRESSED) :].partition(b"\x00")
            payload = compression.decompress(rest, method.decode("ascii", "replace"))
        one = self._serializer
        return serializers.decode(payload, one.content_type, one.content_encoding, self._accept)


_EXTENDED: Final = ("name", "args", "kwargs", "worker", "retries", "queue")


def _with_separator(prefix: str) -> str:
    """Celery puts an underscore between the prefix and the key, unless there is a separator."""
    return f"{prefix}_" if prefix and prefix[-1] not in ":_-." else prefix


def payloads_of(push: Any, channel: str) -> list[bytes]:
    """What was published on this channel, from one push."""
    kind, *rest = push
    if kind == b"message" and rest[0] == channel.encode():
        return [rest[1]]
    return []


def _text(moment: Any) -> str | None:
    """Some serializers give back a datetime."""
    text: Callable[[], str] | None = getattr(moment, "isoformat", None)
    return text() if text is not None else moment
