"""Settings that begin with ``result_`` and ``redis_``.

Rows of the table in ``app/settings.py``; what a row says is in ``setting.py``, what a value may be in
``kinds.py``. Nothing here reads or checks anything.
"""

from __future__ import annotations

import math

from umbel.app.settings_table.kinds import (
    ANYTHING,
    BACKEND,
    FLAG,
    INTEGER,
    MAPPING,
    NUMBER,
    SECONDS,
    SERIALIZER,
    TEXT,
    TLS,
    WHOLE,
)
from umbel.app.settings_table.options import RESULT_TRANSPORT
from umbel.app.settings_table.setting import ACCEPTED, USED, Setting

__all__ = ["REDIS", "RESULTS"]

_IN_URL = "write it into result_backend"
_DRIVER = "the result backend's driver decides what can be tried again"
_NO_CHORD = "a chord is finished by its last task, not by looking for it"
_NO_RPC = "Umbel sends no results as messages"

RESULTS = (
    Setting(
        "result_backend",
        BACKEND,
        None,
        USED,
        "CELERY_RESULT_BACKEND",
        "Where results are remembered: a URL. None: where messages wait. Of several (a list, or with "
        "`;` between them) only the first is used, with a warning.",
    ),
    Setting(
        "result_serializer",
        SERIALIZER,
        "json",
        USED,
        "CELERY_RESULT_SERIALIZER",
        "How results are encoded.",
    ),
    Setting(
        "result_expires",
        SECONDS,
        86400.0,
        USED,
        "CELERY_TASK_RESULT_EXPIRES",
        "Results are forgotten after this time. None or 0: never.",
        nullable=True,
    ),
    Setting(
        "result_extended",
        FLAG,
        False,
        USED,
        "CELERY_RESULT_EXTENDED",
        "Results also keep the name, arguments, worker, retries and queue of the task.",
    ),
    Setting(
        "result_backend_transport_options",
        MAPPING,
        {},
        USED,
        "CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS",
        "Options of the result backend's driver. `global_keyprefix` stands before every key on Redis; the other keys that Celery knows have no effect.",
        options=RESULT_TRANSPORT,
    ),
    Setting(
        "result_backend_always_retry",
        FLAG,
        False,
        ACCEPTED,
        "CELERY_RESULT_BACKEND_ALWAYS_RETRY",
        "A failed operation on the backend is tried again.",
        _DRIVER,
    ),
    Setting(
        "result_backend_base_sleep_between_retries_ms",
        WHOLE,
        10,
        ACCEPTED,
        "CELERY_RESULT_BACKEND_BASE_SLEEP_BETWEEN_RETRIES_MS",
        "First pause between such attempts, in milliseconds.",
        _DRIVER,
    ),
    Setting(
        "result_backend_max_sleep_between_retries_ms",
        WHOLE,
        10000,
        ACCEPTED,
        "CELERY_RESULT_BACKEND_MAX_SLEEP_BETWEEN_RETRIES_MS",
        "Longest such pause.",
        _DRIVER,
    ),
    Setting(
        "result_backend_max_retries",
        NUMBER,
        math.inf,
        ACCEPTED,
        "CELERY_RESULT_BACKEND_MAX_RETRIES",
        "Number of such attempts.",
        _DRIVER,
    ),
    Setting(
        "result_backend_thread_safe",
        FLAG,
        False,
        ACCEPTED,
        "",
        "Threads share one backend object.",
        "every result backend of Umbel is shared by threads",
    ),
    Setting(
        "result_cache_max",
        INTEGER,
        -1,
        ACCEPTED,
        "CELERY_MAX_CACHED_RESULTS",
        "Results that a client keeps in memory; -1: none.",
        "a client keeps no results in memory",
    ),
    Setting(
        "result_chord_expires",
        SECONDS,
        None,
        ACCEPTED,
        "CELERY_RESULT_CHORD_EXPIRES",
        "The state of a chord is forgotten after this time. None: as `result_expires`.",
        _NO_CHORD,
    ),
    Setting(
        "result_chord_join_timeout",
        SECONDS,
        3.0,
        ACCEPTED,
        "CELERY_RESULT_CHORD_JOIN_TIMEOUT",
        "Time to collect the results of a chord.",
        _NO_CHORD,
    ),
    Setting(
        "result_chord_retry_interval",
        SECONDS,
        1.0,
        ACCEPTED,
        "CELERY_RESULT_CHORD_RETRY_INTERVAL",
        "Interval in which a chord's end is looked for.",
        _NO_CHORD,
    ),
    Setting(
        "result_compression",
        TEXT,
        None,
        ACCEPTED,
        "CELERY_RESULT_COMPRESSION",
        "How results are compressed.",
        "results are stored as they are",
    ),
    Setting(
        "result_exchange",
        TEXT,
        "celeryresults",
        ACCEPTED,
        "CELERY_RESULT_EXCHANGE",
        "AMQP exchange of results.",
        _NO_RPC,
    ),
    Setting(
        "result_exchange_type",
        TEXT,
        "direct",
        ACCEPTED,
        "CELERY_RESULT_EXCHANGE_TYPE",
        "Type of that exchange.",
        _NO_RPC,
    ),
    Setting(
        "result_persistent",
        FLAG,
        None,
        ACCEPTED,
        "CELERY_RESULT_PERSISTENT",
        "Results sent as messages outlive a restart of the server.",
        _NO_RPC,
    ),
    Setting(
        "result_failure_expires",
        SECONDS,
        None,
        ACCEPTED,
        "CELERY_RESULT_FAILURE_EXPIRES",
        "Failures are forgotten after this time. None: as `result_expires`.",
        "failures are kept as long as all results",
    ),
)

REDIS = (
    Setting(
        "redis_socket_timeout",
        SECONDS,
        120.0,
        USED,
        "CELERY_REDIS_SOCKET_TIMEOUT",
        "How long Redis may take to answer. None: for ever.",
        nullable=True,
    ),
    Setting(
        "redis_socket_connect_timeout",
        SECONDS,
        None,
        USED,
        "CELERY_REDIS_SOCKET_CONNECT_TIMEOUT",
        "How long connecting to Redis may take. None: as the system has it.",
    ),
    Setting(
        "redis_socket_keepalive",
        FLAG,
        False,
        USED,
        "CELERY_REDIS_SOCKET_KEEPALIVE",
        "Keep idle TCP connections to Redis alive.",
    ),
    Setting(
        "redis_retry_on_timeout",
        FLAG,
        False,
        ACCEPTED,
        "CELERY_REDIS_RETRY_ON_TIMEOUT",
        "A command that timed out is sent again.",
        _DRIVER,
    ),
    Setting(
        "redis_max_connections",
        WHOLE,
        None,
        ACCEPTED,
        "CELERY_REDIS_MAX_CONNECTIONS",
        "Most connections of one process.",
        "each process keeps the few connections it needs",
    ),
    Setting(
        "redis_backend_use_ssl",
        TLS,
        None,
        ACCEPTED,
        "CELERY_REDIS_BACKEND_USE_SSL",
        "TLS options of the connection.",
        "use a rediss:// URL with its options",
    ),
    Setting(
        "redis_backend_health_check_interval",
        SECONDS,
        None,
        ACCEPTED,
        "",
        "An idle connection is tested after this time.",
        _DRIVER,
    ),
    Setting(
        "redis_backend_credential_provider",
        ANYTHING,
        None,
        ACCEPTED,
        "",
        "Object that gives user and password.",
        _IN_URL,
    ),
    Setting(
        "redis_client_name",
        TEXT,
        None,
        ACCEPTED,
        "",
        "Name of the connection in Redis.",
        "Umbel names its connections itself",
    ),
    Setting("redis_host", TEXT, None, ACCEPTED, "CELERY_REDIS_HOST", "Host of Redis.", _IN_URL),
    Setting("redis_port", WHOLE, None, ACCEPTED, "CELERY_REDIS_PORT", "Port of Redis.", _IN_URL),
    Setting(
        "redis_db", WHOLE, None, ACCEPTED, "CELERY_REDIS_DB", "Database number in Redis.", _IN_URL
    ),
    Setting(
        "redis_username", TEXT, None, ACCEPTED, "CELERY_REDIS_USERNAME", "User at Redis.", _IN_URL
    ),
    Setting(
        "redis_password",
        TEXT,
        None,
        ACCEPTED,
        "CELERY_REDIS_PASSWORD",
        "Password at Redis.",
        _IN_URL,
    ),
)
