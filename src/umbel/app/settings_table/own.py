"""Settings that Umbel has and Celery has not.

Rows of the table in ``app/settings.py``; what a row says is in ``setting.py``, what a value may be in
``kinds.py``. Nothing here reads or checks anything.
"""

from __future__ import annotations

from umbel.app.settings_table.kinds import ADDRESS, COUNT, POSITIVE, SECONDS, WHOLE, choice
from umbel.app.settings_table.setting import USED, Setting

__all__ = ["OWN"]

OWN = (
    Setting(
        "task_max_deliveries",
        COUNT,
        3,
        USED,
        "",
        "A message whose worker died so often goes to the dead letters, with WorkerLostError.",
        own=True,
    ),
    Setting(
        "worker_heartbeat_interval",
        POSITIVE,
        5.0,
        USED,
        "",
        "Interval in which a worker tells the broker that it lives.",
        own=True,
    ),
    Setting(
        "worker_heartbeat_limit",
        POSITIVE,
        30.0,
        USED,
        "",
        "A worker silent for longer is dead: what it had is run by others.",
        own=True,
    ),
    Setting(
        "worker_drain_timeout",
        SECONDS,
        25.0,
        USED,
        "",
        "Time that running tasks have to end when a worker is told to stop; then they go back to their queues.",
        own=True,
    ),
    Setting(
        "worker_unknown_task_timeout",
        SECONDS,
        3600.0,
        USED,
        "",
        "Time that a task no worker knows waits for one that does; then it goes to the dead letters.",
        own=True,
    ),
    Setting(
        "worker_health_address",
        ADDRESS,
        None,
        USED,
        "",
        "Where a worker answers health checks: `host:port` or the path of a socket. None: nowhere.",
        own=True,
    ),
    Setting(
        "dead_letter_max_age",
        SECONDS,
        604800.0,
        USED,
        "",
        "Dead letters are forgotten after this time.",
        own=True,
    ),
    Setting(
        "dead_letter_max_count",
        WHOLE,
        10000,
        USED,
        "",
        "Most dead letters kept; the oldest go first.",
        own=True,
    ),
    Setting(
        "message_max_size",
        WHOLE,
        67108864,
        USED,
        "",
        "Largest message in bytes; a larger one is refused when it is sent.",
        own=True,
    ),
    Setting(
        "publish_timeout",
        SECONDS,
        2.0,
        USED,
        "",
        "Time that sending may take, all attempts together; then OperationalError is raised. "
        "`delay_many` and `apply_async_many` send batches of 1,000: so much time for each batch.",
        own=True,
    ),
    Setting(
        "redis_priority_order",
        choice("umbel", "celery"),
        "umbel",
        USED,
        "",
        "Priorities on Redis: `umbel`: ten, the higher first; `celery`: four steps, 0 first, for queues that Celery's workers read too.",
        own=True,
    ),
)
