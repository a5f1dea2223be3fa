"""The statements of the SQL broker, made once for a dialect.

Values are bound with ``?``; lists are bound as one JSON array. The tables are described in
``drivers/sql/schema.py``. The statement that settles and takes in one step is in ``step.py``.
"""

from __future__ import annotations

from collections.abc import Callable

from umbel.brokers.sql.rows import COLUMNS, PAUSED, REVOCATIONS, not_paused
from umbel.drivers.sql.base import Dialect
from umbel.drivers.sql.batch import Batch

__all__ = ["Queries", "QueueQueries"]

#: Delayed messages that become ready in one statement.
PROMOTED = 1000

_FREE = "consumer = NULL, loan = NULL, note = NULL"
_SETTLED = "consumer = NULL, loan = NULL"


class Queries:
    """Statements that do not depend on the queues of a consumer."""

    def __init__(self, dialect: Dialect) -> None:
        adapt = dialect.adapt
        members = dialect.members_of()
        places = ", ".join("?" * len(COLUMNS))
        self.insert_one = adapt(
            f"INSERT INTO umbel_message ({', '.join(COLUMNS)}) VALUES ({places})"
        )
        self.insert = Batch(dialect, "umbel_message", COLUMNS)
        self._pause(adapt)
        self._settle(adapt)
        self._lend(adapt, members)
        self._sign_in(adapt, members)
        self._bury(adapt)

    def _pause(self, adapt: Callable[[str], str]) -> None:
        """Statements about queues that lend nothing."""
        self.pause = adapt(
            "INSERT INTO umbel_meta (name, value) SELECT ?, '1' "
            "WHERE NOT EXISTS (SELECT 1 FROM umbel_meta WHERE name = ?)"
        )
        self.resume = adapt("DELETE FROM umbel_meta WHERE name = ?")
        self.paused = f"SELECT name FROM umbel_meta WHERE name LIKE '{PAUSED}%'"

    def _settle(self, adapt: Callable[[str], str]) -> None:
        """Statements about one loan."""
        self.held = adapt(
            "SELECT 1 FROM umbel_message WHERE state = 2 AND consumer = ? AND loan = ? AND id = ?"
        )
        self.forget = adapt("DELETE FROM umbel_message WHERE id = ?")
        self.release = adapt(
            f"UPDATE umbel_message SET state = ?, moment_ms = ?, {_FREE} WHERE id = ?"
        )
        self.rewrite = adapt("UPDATE umbel_message SET raw = ? WHERE id = ?")
        self.keep = adapt(
            f"UPDATE umbel_message SET state = ?, moment_ms = ?, note = ?, {_SETTLED}, "
            "task_id = coalesce(task_id, ?), task = coalesce(task, ?) WHERE id = ?"
        )

    def _lend(self, adapt: Callable[[str], str], members: str) -> None:
        """Statements about all loans of a consumer."""
        self.lent = adapt(
            "SELECT loan, id, queue, raw, note FROM umbel_message "
            "WHERE state = 2 AND consumer = ? ORDER BY loan, id"
        )
        self.taken = adapt(
            "SELECT loan, id, queue, raw, priority FROM umbel_message "
            "WHERE state = 2 AND consumer = ? AND loan = ?"
        )
        self.release_all = adapt(
            f"UPDATE umbel_message SET state = 0, moment_ms = NULL, {_FREE} "
            "WHERE state = 2 AND consumer = ?"
        )
        self.find_parked = adapt(
            f"SELECT id FROM umbel_message WHERE state = 3 AND task IN ({members}) "
            f"AND queue IN ({members}) AND {not_paused('queue')} ORDER BY id LIMIT ?"
        )
        self.unpark = adapt(
            "UPDATE umbel_message SET state = 2, consumer = ?, loan = ?, moment_ms = ?, "
            f"note = 'parked' WHERE state = 3 AND id IN ({members})"
        )

    def _sign_in(self, adapt: Callable[[str], str], members: str) -> None:
        """Statements about consumers."""
        self.find_consumer = adapt("SELECT number, dead FROM umbel_consumer WHERE id = ?")
        self.alive = adapt("SELECT 1 FROM umbel_consumer WHERE number = ? AND id = ? AND dead = 0")
        self.register = adapt(
            "INSERT INTO umbel_consumer (number, id, queues, beat_ms, dead, host, pid, since_ms) "
            "VALUES (?, ?, ?, ?, 0, ?, ?, ?)"
        )
        self.sign_off = adapt("DELETE FROM umbel_consumer WHERE number = ?")
        self.condemn = adapt("UPDATE umbel_consumer SET dead = 1, beat_ms = ? WHERE number = ?")
        # A beat within the same millisecond must be seen, too.
        self.beat = adapt(
            "UPDATE umbel_consumer SET beat_ms = CASE WHEN beat_ms = ? THEN ? ELSE ? END "
            f"WHERE dead = 0 AND id IN ({members})"
        )
        self.living = adapt(f"SELECT id FROM umbel_consumer WHERE dead = 0 AND id IN ({members})")
        # The clock may have been set back since.
        self.silent = adapt(
            "SELECT id, beat_ms, dead FROM umbel_consumer WHERE beat_ms <= ? OR beat_ms > ?"
        )
        self.attended = "SELECT 1 FROM umbel_meta WHERE name = 'attended'"
        self.attend = (
            "INSERT INTO umbel_meta (name, value) SELECT 'attended', '1' "
            "WHERE NOT EXISTS (SELECT 1 FROM umbel_meta WHERE name = 'attended')"
        )

    def _bury(self, adapt: Callable[[str], str]) -> None:
        """Statements about dead letters."""
        self.last_kept = adapt(
            "SELECT moment_ms, id FROM umbel_message WHERE state = 4 "
            "ORDER BY moment_ms DESC, id DESC LIMIT 1 OFFSET ?"
        )
        self.trim = adapt(
            "DELETE FROM umbel_message WHERE state = 4 "
            "AND (moment_ms < ? OR (moment_ms = ? AND id < ?))"
        )


class QueueQueries:
    """Statements over the queues of one consumer, each of which has its own search in an index."""

    def __init__(self, dialect: Dialect, queues: int) -> None:
        one = (
            "EXISTS (SELECT 1 FROM umbel_message WHERE state = 0 AND queue = ? "
            f"AND {not_paused('?')})"
        )
        ready = " OR ".join([one] * queues)
        # Values: consumer number, consumer id, each queue twice, the queues.
        self.look = dialect.adapt(
            "SELECT (SELECT dead FROM umbel_consumer WHERE number = ? AND id = ?), "
            f"{ready or '0'}, {_next_due(queues)}, "
            "EXISTS (SELECT 1 FROM umbel_message WHERE state = 3), "
            f"(SELECT value FROM umbel_meta WHERE name = '{REVOCATIONS}')"
        )
        # Values: a JSON array of the queues, the present moment.
        self.promote = dialect.adapt(
            "UPDATE umbel_message SET state = 0, moment_ms = NULL, note = NULL, id = due.place "
            "FROM (SELECT id AS due_id, (SELECT max(id) FROM umbel_message) "
            "+ row_number() OVER (ORDER BY moment_ms, id) AS place FROM umbel_message "
            f"WHERE state = 1 AND queue IN ({dialect.members_of()}) AND moment_ms <= ? "
            f"ORDER BY moment_ms, id LIMIT {PROMOTED:d}) AS due WHERE umbel_message.id = due.due_id"
        )


def _next_due(queues: int) -> str:
    first = (
        "(SELECT moment_ms FROM umbel_message WHERE state = 1 AND queue = ? "
        "ORDER BY moment_ms LIMIT 1)"
    )
    if queues < 2:  # noqa: PLR2004 - the least of one is that one
        return first if queues else "NULL"
    each = " UNION ALL ".join([f"SELECT {first} AS moment"] * queues)
    return f"(SELECT min(moment) FROM ({each}))"
