"""Settings without a section of their own, and those of control, events and signing.

Rows of the table in ``app/settings.py``; what a row says is in ``setting.py``, what a value may be in
``kinds.py``. Nothing here reads or checks anything.
"""

from __future__ import annotations

from umbel.app.settings_table.kinds import BYTES, CONTENT, FLAG, NAMES, SECONDS, TEXT, WHOLE, ZONE
from umbel.app.settings_table.setting import ACCEPTED, USED, Setting

__all__ = ["CONTROL", "EVENT", "GENERAL", "SECURITY"]

_NO_CONTROL = "Umbel's workers keep no control mailbox"
_NO_EVENT_QUEUES = "events are told to whoever listens, and wait in no queue"
_NO_SIGNING = "Umbel signs no messages"

GENERAL = (
    Setting(
        "accept_content",
        CONTENT,
        ("json",),
        USED,
        "CELERY_ACCEPT_CONTENT",
        "Serializers, by name or content type, that a worker decodes; all others are refused.",
    ),
    Setting(
        "result_accept_content",
        CONTENT,
        None,
        USED,
        "RESULT_ACCEPT_CONTENT",
        "The same for results. None: as `accept_content`.",
    ),
    Setting(
        "enable_utc",
        FLAG,
        True,
        USED,
        "ENABLE_UTC",
        "Moments travel in UTC; when off, in the app's own zone.",
    ),
    Setting(
        "timezone",
        ZONE,
        None,
        USED,
        "CELERY_TIMEZONE",
        "The app's zone, for naive moments. None: Django's `TIME_ZONE`, where there is one.",
        fallback="TIME_ZONE",
    ),
    Setting(
        "imports",
        NAMES,
        (),
        USED,
        "CELERY_IMPORTS",
        "Modules that a worker imports when it starts, for their tasks.",
    ),
    Setting(
        "include",
        NAMES,
        (),
        USED,
        "CELERY_INCLUDE",
        "More such modules, imported after `imports`.",
    ),
    Setting(
        "db_reuse_max",
        WHOLE,
        None,
        ACCEPTED,
        "CELERY_DB_REUSE_MAX",
        "Tasks after which a worker closes Django's database connections.",
        "they are closed around every task",
    ),
)

CONTROL = (
    Setting(
        "control_exchange",
        TEXT,
        "celery",
        USED,
        "CONTROL_EXCHANGE",
        "First part of the names under which remote control travels; apps with another one do not hear it.",
    ),
    Setting(
        "control_queue_durable",
        FLAG,
        False,
        ACCEPTED,
        "CONTROL_QUEUE_DURABLE",
        "Control mailboxes outlive a restart of the server.",
        _NO_CONTROL,
    ),
    Setting(
        "control_queue_exclusive",
        FLAG,
        True,
        ACCEPTED,
        "CONTROL_QUEUE_EXCLUSIVE",
        "A control mailbox belongs to one connection.",
        _NO_CONTROL,
    ),
    Setting(
        "control_queue_expires",
        SECONDS,
        10.0,
        ACCEPTED,
        "CONTROL_QUEUE_EXPIRES",
        "An unused control mailbox goes after this time.",
        _NO_CONTROL,
    ),
    Setting(
        "control_queue_ttl",
        SECONDS,
        300.0,
        ACCEPTED,
        "CONTROL_QUEUE_TTL",
        "A control message waits at most so long.",
        _NO_CONTROL,
    ),
)

EVENT = (
    Setting(
        "event_exchange",
        TEXT,
        "celeryev",
        USED,
        "CELERY_EVENT_EXCHANGE",
        "Where events are published.",
    ),
    Setting(
        "event_queue_durable",
        FLAG,
        False,
        ACCEPTED,
        "CELERY_EVENT_QUEUE_DURABLE",
        "Queues of event readers outlive a restart of the server.",
        _NO_EVENT_QUEUES,
    ),
    Setting(
        "event_queue_exclusive",
        FLAG,
        True,
        ACCEPTED,
        "CELERY_EVENT_QUEUE_EXCLUSIVE",
        "The queue of an event reader belongs to one connection.",
        _NO_EVENT_QUEUES,
    ),
    Setting(
        "event_queue_expires",
        SECONDS,
        60.0,
        ACCEPTED,
        "CELERY_EVENT_QUEUE_EXPIRES",
        "The queue of an absent event reader goes after this time.",
        _NO_EVENT_QUEUES,
    ),
    Setting(
        "event_queue_prefix",
        TEXT,
        "celeryev",
        ACCEPTED,
        "CELERY_EVENT_QUEUE_PREFIX",
        "First part of the names of the queues of event readers.",
        _NO_EVENT_QUEUES,
    ),
    Setting(
        "event_queue_ttl",
        SECONDS,
        5.0,
        ACCEPTED,
        "CELERY_EVENT_QUEUE_TTL",
        "An event waits at most so long for its reader.",
        _NO_EVENT_QUEUES,
    ),
    Setting(
        "event_serializer",
        TEXT,
        "json",
        ACCEPTED,
        "CELERY_EVENT_SERIALIZER",
        "How events are encoded.",
        "events are JSON",
    ),
)

SECURITY = (
    Setting(
        "security_key",
        TEXT,
        None,
        ACCEPTED,
        "CELERY_SECURITY_KEY",
        "File with the private key that signs messages.",
        _NO_SIGNING,
    ),
    Setting(
        "security_key_password",
        BYTES,
        None,
        ACCEPTED,
        "CELERY_SECURITY_KEY_PASSWORD",
        "Password of that key.",
        _NO_SIGNING,
    ),
    Setting(
        "security_certificate",
        TEXT,
        None,
        ACCEPTED,
        "CELERY_SECURITY_CERTIFICATE",
        "File with the certificate that goes with the key.",
        _NO_SIGNING,
    ),
    Setting(
        "security_cert_store",
        TEXT,
        None,
        ACCEPTED,
        "CELERY_SECURITY_CERT_STORE",
        "Files with the certificates of trusted senders.",
        _NO_SIGNING,
    ),
    Setting(
        "security_digest",
        TEXT,
        "sha256",
        ACCEPTED,
        "CELERY_SECURITY_DIGEST",
        "Hash that a signature is made of.",
        _NO_SIGNING,
    ),
)
