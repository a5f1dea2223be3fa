"""Which tasks may not start any more, as rows of ``umbel_meta``; workers see by a counter among them
that there is news. It touches no message."""

from __future__ import annotations

import time
from collections.abc import Sequence

from umbel.brokers.base import REVOKED_MOST
from umbel.brokers.sql.rows import REVOCATIONS
from umbel.drivers.sql.base import Session, SqlDriver

__all__ = ["Revocations"]

#: Before a task id; and the first name behind all of these.
_HEAD, _END = "revoked:", "revoked;"
#: The rows, whose values are moments in milliseconds, written in 16 digits so that they sort.
_ROWS = f"umbel_meta WHERE name >= '{_HEAD}' AND name < '{_END}'"
_LATEST = 9_999_999_999_999_999


class Revocations:
    """The revoked tasks of one database."""

    def __init__(self, driver: SqlDriver) -> None:
        self._driver = driver
        adapt = driver.dialect.adapt
        self._forget = adapt("DELETE FROM umbel_meta WHERE name = ?")
        self._keep = adapt("INSERT INTO umbel_meta (name, value) VALUES (?, ?)")
        self._prune = adapt(f"DELETE FROM {_ROWS} AND value <= ?")
        self._bound = adapt(
            f"DELETE FROM umbel_meta WHERE name IN (SELECT name FROM {_ROWS} ORDER BY value LIMIT ?)"
        )

    def add(self, ids: Sequence[str], until: float) -> None:
        """Remember these, forget what is past or too much, and raise the counter."""
        moment = _written(until)
        with self._driver.transaction() as session:
            session.execute_many(self._forget, [(_HEAD + name,) for name in ids])
            rows = [(_HEAD + name, moment) for name in dict.fromkeys(ids)]
            session.execute_many(self._keep, rows)
            session.execute(self._prune, (_written(time.time()),))
            ((count,),) = session.fetch(f"SELECT count(*) FROM {_ROWS}")
            if count > REVOKED_MOST:
                session.execute(self._bound, (count - REVOKED_MOST,))
            self._count(session)

    def _count(self, session: Session) -> None:
        query = f"SELECT value FROM umbel_meta WHERE name = '{REVOCATIONS}'"
        count = sum(int(value) for (value,) in session.fetch(query))
        session.execute(self._forget, (REVOCATIONS,))
        session.execute(self._keep, (REVOCATIONS, str(count + 1)))

    def read(self) -> dict[str, float]:
        """What is revoked now, and until when."""
        now = time.time()
        with self._driver.session() as session:
            rows = session.fetch(f"SELECT name, value FROM {_ROWS}")
        moments = ((name.removeprefix(_HEAD), int(value) / 1000) for name, value in rows)
        return {name: until for name, until in moments if until > now}


def _written(moment: float) -> str:
    return f"{int(min(max(moment, 0.0) * 1000, _LATEST)):016d}"
