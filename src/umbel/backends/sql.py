"""Results in an SQL database: one row of ``umbel_result`` for each task.

A broker in the same database writes the rows within its own statements (``rows`` and ``statement``).
Waiting is being told of commits by the driver; nothing of a wait stays behind. Expired rows count as
absent, and are deleted little by little by whoever stores.
"""

from __future__ import annotations

import time
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from umbel.backends.base import ResultBackend
from umbel.drivers.sql import open_driver
from umbel.drivers.sql.base import SqlDriver, Values
from umbel.drivers.sql.batch import Batch, chunks
from umbel.exceptions import DecodeError, EncodeError
from umbel.message import serializers
from umbel.message.record import ResultRecord
from umbel.states import READY_STATES

if TYPE_CHECKING:
    from umbel.backends.sql_watcher import Watcher

__all__ = ["SqlBackend"]

#: Under which waiting clients are told of new rows.
TOPIC = "umbel_result"
#: Rows deleted in one statement, and seconds between two rounds of it: when there was more, and not.
_PRUNED = 1000
_PRUNE_AGAIN, _PRUNE_EVERY = 1.0, 60.0
#: Seconds of one turn of a wait without limit.
_LONG = 3600.0
_BINARY = "binary"
_JSON = serializers.accepted_types(["json"])

#: What ``rows`` fills in, in its order. The first two are not changed by a later record.
_COLUMNS = (
    "task_id",
    "date_created",
    "status",
    "ready",
    "content_type",
    "content_encoding",
    "result",
    "traceback",
    "children",
    "task_name",
    "task_args",
    "task_kwargs",
    "worker",
    "retries",
    "queue",
    "group_id",
    "parent_id",
    "date_started",
    "date_done",
    "expires_at",
)
_KEPT = 2
#: A ready record is not replaced by an unready one, unless it has expired.
_KEEP = (
    f"ON CONFLICT (task_id) DO UPDATE SET "
    f"{', '.join(f'{column} = excluded.{column}' for column in _COLUMNS[_KEPT:])} "
    "WHERE excluded.ready >= umbel_result.ready "
    "OR umbel_result.expires_at <= excluded.date_created"
)


class SqlBackend(ResultBackend):
    """A result backend in an SQL database. Constructing it connects to nothing."""

    #: Values of one row.
    width = len(_COLUMNS)

    def __init__(
        self,
        url: str,
        *,
        options: Mapping[str, Any] | None = None,
        serializer: str = "json",
        accept: Sequence[str] = ("json",),
    ) -> None:
        self.driver: SqlDriver = open_driver(url, options)
        self.display_url = self.driver.display_url
        self.serializer = serializers.find(serializer).name
        self.accept = serializers.accepted_types(accept)
        adapt = self.driver.dialect.adapt
        self._prune_at = time.monotonic() + _PRUNE_EVERY
        self._keep = Batch(self.driver.dialect, "umbel_result", _COLUMNS, _KEEP)
        self._find = adapt(
            f"SELECT {', '.join(_COLUMNS)} FROM umbel_result "
            "WHERE task_id = ? AND (expires_at IS NULL OR expires_at > ?)"
        )
        self._find_ready = adapt(
            f"SELECT {', '.join(_COLUMNS)} FROM umbel_result "
            f"WHERE task_id IN ({self.driver.dialect.members_of()}) "
            "AND ready = 1 AND (expires_at IS NULL OR expires_at > ?)"
        )
        self._watcher: Watcher | None = None
        self._forget = adapt("DELETE FROM umbel_result WHERE task_id = ?")
        self._prune = adapt(
            "DELETE FROM umbel_result WHERE id IN "
            f"(SELECT id FROM umbel_result WHERE expires_at <= ? LIMIT {_PRUNED:d})"
        )

    # Storing --------------------------------------------------------------------------------------

    def store_many(self, records: Sequence[ResultRecord]) -> None:
        for part in chunks(self.rows(records)):
            with self.driver.session() as session:
                session.execute(*self._keep.bind(part))
                self.driver.announce(session, TOPIC)
        if records:
            self.tidy()

    def rows(self, items: Sequence[ResultRecord]) -> list[Values]:
        """The values of ``_COLUMNS`` for each record."""
        now = self._now()
        return [self._row(record, now) for record in items]

    def statement(self, values: Sequence[str]) -> str:
        """The statement that keeps one row of these SQL expressions."""
        return (
            f"INSERT INTO umbel_result ({', '.join(_COLUMNS)}) VALUES ({', '.join(values)}) {_KEEP}"
        )

    def _row(self, record: ResultRecord, now: float) -> list[Any]:
        content_type, encoding, payload = serializers.encode(
            record.result, self.serializer, "result"
        )
        return [
            record.task_id,
            now,
            record.status,
            int(record.status in READY_STATES),
            content_type,
            encoding,
            (b64encode(payload) if encoding == _BINARY else payload).decode(),
            record.traceback,
            _encode(record.children) if record.children else None,
            record.name,
            _encode(record.args),
            _encode(record.kwargs),
            record.worker,
            record.retries,
            record.queue,
            record.group_id,
            record.parent_id,
            record.started_at,
            record.date_done,
            None if record.ttl is None else now + record.ttl,
        ]

    # Reading --------------------------------------------------------------------------------------

    def load(self, task_id: str) -> ResultRecord | None:
        with self.driver.session() as session:
            rows = session.fetch(self._find, (task_id, self._now()))
        return self._record(dict(zip(_COLUMNS, rows[0], strict=True))) if rows else None

    def wait(self, task_id: str, timeout: float | None) -> ResultRecord | None:
        record = self.load(task_id)
        if record is not None and record.status in READY_STATES:
            return record
        deadline = None if timeout is None else time.monotonic() + timeout
        watch = self.driver.watch(TOPIC)
        try:
            while True:
                record = self.load(task_id)
                if record is not None and record.status in READY_STATES:
                    return record
                left = _LONG if deadline is None else deadline - time.monotonic()
                if left <= 0:
                    return None
                watch.wait(left)
        finally:
            watch.close()

    async def wait_async(self, task_id: str, timeout: float | None) -> ResultRecord | None:
        if self._watcher is None:
            from umbel.backends.sql_watcher import Watcher

            self._watcher = Watcher(self.driver, TOPIC, self.load_ready)
        return await self._watcher.wait(task_id, timeout)

    def load_ready(self, task_ids: Sequence[str]) -> list[tuple[str, ResultRecord | Exception]]:
        """Those of these records that are of a ready state, or why one cannot be read."""
        given = msgspec.json.encode(list(task_ids)).decode()
        with self.driver.session() as session:
            rows = session.fetch(self._find_ready, (given, self._now()))
        return [(row[0], self._readable(dict(zip(_COLUMNS, row, strict=True)))) for row in rows]

    def _readable(self, row: Mapping[str, Any]) -> ResultRecord | Exception:
        try:
            return self._record(row)
        except DecodeError as error:
            return error

    def _record(self, row: Mapping[str, Any]) -> ResultRecord:
        text, encoding = row["result"], row["content_encoding"]
        payload = b64decode(text) if encoding == _BINARY else text.encode()
        lasting = {"ttl": None} if row["expires_at"] is None else {}
        return ResultRecord(
            task_id=row["task_id"],
            status=row["status"],
            result=serializers.decode(payload, row["content_type"], encoding, self.accept),
            traceback=row["traceback"],
            children=_decode(row["children"]) or [],
            date_done=row["date_done"],
            group_id=row["group_id"],
            parent_id=row["parent_id"],
            extended=row["task_name"] is not None,
            name=row["task_name"],
            args=_decode(row["task_args"]),
            kwargs=_decode(row["task_kwargs"]),
            worker=row["worker"],
            retries=row["retries"],
            queue=row["queue"],
            started_at=row["date_started"],
            **lasting,
        )

    # Deleting -------------------------------------------------------------------------------------

    def forget(self, task_id: str) -> None:
        with self.driver.session() as session:
            session.execute(self._forget, (task_id,))

    def prune(self) -> int:
        count = 0
        while deleted := self._prune_some():
            count += deleted
        return count

    def tidy(self) -> None:
        """Delete some expired rows, once in a while."""
        now = time.monotonic()
        if now >= self._prune_at:
            self._prune_at = now + _PRUNE_EVERY
            if self._prune_some() == _PRUNED:
                self._prune_at = now + _PRUNE_AGAIN

    def close(self) -> None:
        if self._watcher is not None:
            self._watcher.close()
        self.driver.close()

    def _prune_some(self) -> int:
        with self.driver.session() as session:
            return session.execute(self._prune, (self._now(),))

    def _now(self) -> float:
        return self.driver.now() / 1000


def _encode(value: Any) -> str | None:
    """Arguments and children for people and programs to read; text where JSON cannot hold them."""
    if value is None:
        return None
    try:
        return serializers.encode(value, "json")[2].decode()
    except EncodeError:
        return serializers.encode(repr(value), "json")[2].decode()


def _decode(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return serializers.decode(text.encode(), serializers.JSON.content_type, "utf-8", _JSON)
    except DecodeError:
        return text
