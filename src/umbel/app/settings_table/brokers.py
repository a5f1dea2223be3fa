"""Settings that begin with ``broker_``.

Rows of the table in ``app/settings.py``; what a row says is in ``setting.py``, what a value may be in
``kinds.py``. Nothing here reads or checks anything.
"""

from __future__ import annotations

from umbel.app.settings_table.kinds import (
    BROKER,
    FLAG,
    MAPPING,
    NUMBER,
    ROUTES,
    SECONDS,
    TEXT,
    TLS,
    WHOLE,
)
from umbel.app.settings_table.options import BROKER_TRANSPORT
from umbel.app.settings_table.setting import ACCEPTED, USED, Setting

__all__ = ["BROKERS"]

_IN_URL = "write it into broker_url"
_NO_AMQP = "it concerns AMQP, which Umbel does not speak"
_NO_POOL = "each process keeps the few connections it needs"

BROKERS = (
    Setting(
        "broker_url",
        BROKER,
        None,
        USED,
        "BROKER_URL",
        "Where messages wait: a URL. None: the embedded SQLite file. Of several (a list, or with `;` "
        "between them, as Celery's failover has them) only the first is used, with a warning.",
    ),
    Setting(
        "broker_read_url",
        BROKER,
        None,
        USED,
        "BROKER_READ_URL",
        "Another URL for workers. None: `broker_url`.",
        fallback="broker_url",
    ),
    Setting(
        "broker_write_url",
        BROKER,
        None,
        USED,
        "BROKER_WRITE_URL",
        "Another URL for sending. None: `broker_url`.",
        fallback="broker_url",
    ),
    Setting(
        "broker_transport_options",
        MAPPING,
        {},
        USED,
        "BROKER_TRANSPORT_OPTIONS",
        "Options of the broker's driver. `global_keyprefix` stands before every key on Redis; the "
        "other keys that Celery knows have no effect.",
        options=BROKER_TRANSPORT,
    ),
    Setting(
        "broker_connection_timeout",
        SECONDS,
        4.0,
        USED,
        "BROKER_CONNECTION_TIMEOUT",
        "How long one attempt to connect may take. Without it, what the driver thinks right.",
        nullable=True,
    ),
    Setting(
        "broker_connection_retry_on_startup",
        FLAG,
        None,
        USED,
        "BROKER_CONNECTION_RETRY_ON_STARTUP",
        "A worker that finds no broker when it starts tries again. None: it does. One that the broker "
        "refuses for good (a wrong password, no permission, no such database) ends in any case.",
    ),
    Setting(
        "broker_connection_max_retries",
        WHOLE,
        100,
        ACCEPTED,
        "BROKER_CONNECTION_MAX_RETRIES",
        "Attempts to connect before a worker gives up.",
        "a worker never gives up; whoever started it can",
        nullable=True,
    ),
    Setting(
        "broker_connection_retry",
        FLAG,
        True,
        ACCEPTED,
        "BROKER_CONNECTION_RETRY",
        "A worker connects again after the connection broke.",
        "a running worker always connects again",
    ),
    Setting(
        "broker_channel_error_retry",
        FLAG,
        False,
        ACCEPTED,
        "BROKER_CHANNEL_ERROR_RETRY",
        "A worker connects again after an error on its channel.",
        _NO_AMQP,
    ),
    Setting(
        "broker_failover_strategy",
        ROUTES,
        None,
        ACCEPTED,
        "BROKER_FAILOVER_STRATEGY",
        "Order in which the URLs of `broker_url` are tried.",
        "only the first URL is used",
    ),
    Setting(
        "broker_heartbeat",
        SECONDS,
        120.0,
        ACCEPTED,
        "BROKER_HEARTBEAT",
        "Interval of AMQP heartbeats.",
        _NO_AMQP,
        nullable=True,
    ),
    Setting(
        "broker_heartbeat_checkrate",
        NUMBER,
        3.0,
        ACCEPTED,
        "BROKER_HEARTBEAT_CHECKRATE",
        "Checks in one AMQP heartbeat.",
        _NO_AMQP,
    ),
    Setting(
        "broker_login_method",
        TEXT,
        None,
        ACCEPTED,
        "BROKER_LOGIN_METHOD",
        "AMQP login mechanism.",
        _NO_AMQP,
    ),
    Setting(
        "broker_native_delayed_delivery_queue_type",
        TEXT,
        "quorum",
        ACCEPTED,
        "BROKER_NATIVE_DELAYED_DELIVERY_QUEUE_TYPE",
        "Type of the RabbitMQ queues in which delayed messages wait.",
        _NO_AMQP,
    ),
    Setting(
        "broker_pool_limit",
        WHOLE,
        10,
        ACCEPTED,
        "BROKER_POOL_LIMIT",
        "Connections kept for sending.",
        _NO_POOL,
        nullable=True,
    ),
    Setting(
        "broker_pool_acquire_timeout",
        SECONDS,
        None,
        ACCEPTED,
        "BROKER_POOL_ACQUIRE_TIMEOUT",
        "How long to wait for one of them.",
        _NO_POOL,
    ),
    Setting(
        "broker_use_ssl",
        TLS,
        False,
        ACCEPTED,
        "BROKER_USE_SSL",
        "TLS options of the connection.",
        "use a rediss:// URL with its options",
        nullable=True,
    ),
    Setting(
        "broker_transport",
        TEXT,
        None,
        ACCEPTED,
        "BROKER_TRANSPORT",
        "Kind of broker, where there is no URL.",
        _IN_URL,
    ),
    Setting("broker_host", TEXT, None, ACCEPTED, "BROKER_HOST", "Host of the broker.", _IN_URL),
    Setting("broker_port", WHOLE, None, ACCEPTED, "BROKER_PORT", "Port of the broker.", _IN_URL),
    Setting("broker_user", TEXT, None, ACCEPTED, "BROKER_USER", "User at the broker.", _IN_URL),
    Setting(
        "broker_password",
        TEXT,
        None,
        ACCEPTED,
        "BROKER_PASSWORD",
        "Password at the broker.",
        _IN_URL,
    ),
    Setting(
        "broker_vhost",
        TEXT,
        None,
        ACCEPTED,
        "BROKER_VHOST",
        "Virtual host or database number at the broker.",
        _IN_URL,
    ),
)
