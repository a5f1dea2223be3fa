"""What people ask of a broker in an SQL database: sizes, delayed and dead messages, purge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from umbel.brokers.admin import ConsumerStatus, DeadLetter, Place, QueueAdmin, QueueStatus
from umbel.brokers.sql.queries import Queries
from umbel.brokers.sql.rows import PAUSED, TOPIC
from umbel.brokers.sql.settling import DeadLetterLimits
from umbel.drivers.sql.base import Session, SqlDriver
from umbel.drivers.sql.schema import State
from umbel.message.message import DELIVERIES, Message
from umbel.message.protocol import encode, read_message, resend

__all__ = ["SqlQueueAdmin"]

#: Dead letters that are no messages are called by this and their row.
_NAMELESS = "raw-"
_WHERE: Mapping[int, Literal["ready", "delayed", "lent", "parked", "dead"]] = {
    State.READY: "ready",
    State.DELAYED: "delayed",
    State.LENT: "lent",
    State.PARKED: "parked",
    State.DEAD: "dead",
}


class SqlQueueAdmin(QueueAdmin):
    """One short operation on the database each."""

    def __init__(self, driver: SqlDriver, queries: Queries, limits: DeadLetterLimits) -> None:
        self._driver = driver
        self._queries = queries
        self._limits = limits
        members = driver.dialect.members_of()
        adapt = driver.dialect.adapt
        self._find_dead = adapt(
            "SELECT id, queue, raw FROM umbel_message WHERE state = 4 "
            f"AND (task_id IN ({members}) OR (task_id IS NULL AND id IN ({members})))"
        )
        self._delete = adapt(f"DELETE FROM umbel_message WHERE id IN ({members})")

    # Queues ---------------------------------------------------------------------------------------

    def queues(self, names: Sequence[str] = ()) -> list[QueueStatus]:
        paused = self.paused()
        counts: dict[str, dict[State, int]] = {name: {} for name in (*names, *paused)}
        with self._driver.session() as session:
            for (known,) in session.fetch("SELECT queues FROM umbel_consumer WHERE dead = 0"):
                for name in msgspec.json.decode(known):
                    counts.setdefault(name, {})
            for state in (State.READY, State.DELAYED, State.LENT):
                for name, count in session.fetch(
                    f"SELECT queue, count(*) FROM umbel_message WHERE state = {state:d} "
                    "GROUP BY queue"
                ):
                    counts.setdefault(name, {})[state] = count
        return [
            QueueStatus(
                name=name,
                ready=counts[name].get(State.READY, 0),
                delayed=counts[name].get(State.DELAYED, 0),
                lent=counts[name].get(State.LENT, 0),
                paused=name in paused,
            )
            for name in sorted(counts)
        ]

    def pause(self, queue: str) -> None:
        with self._driver.session() as session:
            session.execute(self._queries.pause, (PAUSED + queue, PAUSED + queue))

    def resume(self, queue: str) -> None:
        with self._driver.session() as session:
            session.execute(self._queries.resume, (PAUSED + queue,))
            self._driver.announce(session, TOPIC)

    def paused(self) -> list[str]:
        rows = self._fetch(self._queries.paused)
        return sorted(name.removeprefix(PAUSED) for (name,) in rows)

    def consumers(self) -> list[ConsumerStatus]:
        now = self._driver.now()
        rows = self._fetch(
            "SELECT id, queues, beat_ms, (SELECT count(*) FROM umbel_message "
            "WHERE state = 2 AND consumer = number) FROM umbel_consumer WHERE dead = 0 ORDER BY id"
        )
        return [
            ConsumerStatus(
                id=name,
                queues=tuple(msgspec.json.decode(queues)),
                silent_for=max(0, now - beat) / 1000,
                lent=lent,
            )
            for name, queues, beat, lent in rows
        ]

    def purge(self, queue: str, limit: int = 1000) -> list[Message | None]:
        find = self._driver.dialect.adapt(
            "SELECT id, raw FROM umbel_message WHERE state = 0 AND queue = ? "
            "ORDER BY priority DESC, id LIMIT ?"
        )
        with self._driver.transaction() as session:
            rows = session.fetch(find, (queue, limit))
            session.execute(self._delete, (_array(row for row, _ in rows),))
        return [read_message(raw, queue)[0] for _, raw in rows]

    # Delayed --------------------------------------------------------------------------------------

    def delayed(self, queue: str | None = None, limit: int = 100) -> list[Message]:
        where, values = ("", ()) if queue is None else ("AND queue = ? ", (queue,))
        rows = self._fetch(
            f"SELECT queue, raw, moment_ms FROM umbel_message WHERE state = 1 {where}"
            "ORDER BY moment_ms, id LIMIT ?",
            (*values, limit),
        )
        found = ((read_message(raw, name)[0], moment) for name, raw, moment in rows)
        return [
            replace(message, due=moment / 1000) for message, moment in found if message is not None
        ]

    def cancel(self, task_id: str) -> int:
        return self._execute(
            "DELETE FROM umbel_message WHERE state = 1 AND task_id = ?", (task_id,)
        )

    # Parked ---------------------------------------------------------------------------------------

    def parked(self) -> dict[str, int]:
        return dict(
            self._fetch("SELECT task, count(*) FROM umbel_message WHERE state = 3 GROUP BY task")
        )

    def expire_parked(self, older_than: float, limit: int = 100) -> list[Message]:
        adapt = self._driver.dialect.adapt
        find = adapt(
            "SELECT id, queue, raw FROM umbel_message WHERE state = 3 AND moment_ms <= ? "
            "ORDER BY moment_ms, id LIMIT ?"
        )
        bury = adapt(
            "UPDATE umbel_message SET state = 4, moment_ms = ?, note = 'NotRegistered: ' || task "
            f"WHERE id IN ({self._driver.dialect.members_of()})"
        )
        now = self._driver.now()
        values = (now - int(older_than * 1000), limit)
        if not self._fetch(find, values):
            return []
        with self._driver.transaction() as session:
            rows = session.fetch(find, values)
            session.execute(bury, (now, _array(row for row, _, _ in rows)))
            self._limits.enforce(session, self._queries, now)
        found = (read_message(raw, queue)[0] for _, queue, raw in rows)
        return [message for message in found if message is not None]

    # Dead letters ---------------------------------------------------------------------------------

    def dead(self, limit: int = 100, offset: int = 0) -> list[DeadLetter]:
        rows = self._fetch(
            "SELECT id, task_id, task, queue, note, moment_ms, raw FROM umbel_message "
            "WHERE state = 4 AND moment_ms >= ? ORDER BY moment_ms DESC, id DESC LIMIT ? OFFSET ?",
            (self._limits.oldest(self._driver.now()), limit, offset),
        )
        return [
            DeadLetter(
                id=f"{_NAMELESS}{row}" if task_id is None else task_id,
                task=task,
                queue=queue,
                reason=reason,
                died_at=moment / 1000,
                raw=raw,
            )
            for row, task_id, task, queue, reason, moment, raw in rows
        ]

    def dead_count(self) -> int:
        ((count,),) = self._fetch(
            "SELECT count(*) FROM umbel_message WHERE state = 4 AND moment_ms >= ?",
            (self._limits.oldest(self._driver.now()),),
        )
        return int(count)

    def revive(self, ids: Sequence[str]) -> int:
        revive = self._driver.dialect.adapt(
            "UPDATE umbel_message SET state = 0, moment_ms = NULL, note = NULL, raw = ?, id = ? "
            "WHERE id = ?"
        )
        if not ids:
            return 0
        count = 0
        with self._driver.transaction() as session:
            found = self._dead(session, ids)
            ((last,),) = session.fetch("SELECT coalesce(max(id), 0) FROM umbel_message")
            for row, queue, raw in found:
                message = read_message(raw, queue)[0]
                if message is not None:
                    count += 1
                    session.execute(revive, (_fresh(message), last + count, row))
            self._driver.announce(session, TOPIC)
        return count

    def drop(self, ids: Sequence[str]) -> int:
        if not ids:
            return 0
        with self._driver.transaction() as session:
            rows = [row for row, _, _ in self._dead(session, ids)]
            return session.execute(self._delete, (_array(rows),))

    def _dead(self, session: Session, ids: Sequence[str]) -> list[tuple[Any, ...]]:
        rows = (name.removeprefix(_NAMELESS) for name in ids if name.startswith(_NAMELESS))
        nameless = [int(row) for row in rows if row.isdecimal()]
        return session.fetch(self._find_dead, (_array(ids), _array(nameless)))

    # Anywhere -------------------------------------------------------------------------------------

    def locate(self, task_id: str) -> Place | None:
        for state in ("state = 1", "state = 4", "state IN (0, 2, 3)"):
            for found, queue, moment, note, consumer, raw in self._fetch(
                "SELECT state, queue, moment_ms, note, c.id, raw FROM umbel_message AS m "
                "LEFT JOIN umbel_consumer AS c ON c.number = m.consumer "
                f"WHERE {state} AND task_id = ? LIMIT 1",
                (task_id,),
            ):
                timed = found in (State.DELAYED, State.DEAD)
                detail = {State.LENT: consumer, State.DEAD: note}.get(found)
                return Place(
                    where=_WHERE[found],
                    queue=queue,
                    message=read_message(raw, queue)[0],
                    moment=moment / 1000 if timed else None,
                    detail=detail or "",
                )
        return None

    def _fetch(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._driver.session() as session:
            return session.fetch(self._driver.dialect.adapt(statement), values)

    def _execute(self, statement: str, values: Sequence[Any]) -> int:
        with self._driver.session() as session:
            return session.execute(self._driver.dialect.adapt(statement), values)


def _array(items: Iterable[Any]) -> str:
    return msgspec.json.encode(list(items)).decode()


def _fresh(message: Message) -> bytes:
    """The message as if it had never failed, to run now."""
    fresh = resend(message, headers={"retries": 0, "expires": None}, due=None)
    fresh.headers.pop(DELIVERIES, None)
    fresh.headers.pop("redelivered", None)
    properties = {name: item for name, item in fresh.properties.items() if name != "expiration"}
    return encode(replace(fresh, properties=properties))
