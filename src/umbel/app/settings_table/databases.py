"""Settings that begin with ``database_`` and ``cache_``.

Rows of the table in ``app/settings.py``; what a row says is in ``setting.py``, what a value may be in
``kinds.py``. Nothing here reads or checks anything.
"""

from __future__ import annotations

from umbel.app.settings_table.kinds import CALLABLE, FLAG, MAPPING, TEXT
from umbel.app.settings_table.setting import ACCEPTED, Setting

__all__ = ["CACHE", "DATABASE"]

_IN_URL = "write it into result_backend"
_NO_SQLALCHEMY = "Umbel does not use SQLAlchemy"
_OWN_TABLES = "Umbel makes its own tables"
_NO_CACHE = "Umbel keeps no results in caches"

DATABASE = (
    Setting(
        "database_url",
        TEXT,
        None,
        ACCEPTED,
        "CELERY_RESULT_DBURI",
        "URL of the database for results.",
        _IN_URL,
    ),
    Setting(
        "database_engine_options",
        MAPPING,
        {"pool_pre_ping": True, "pool_recycle": 3600},
        ACCEPTED,
        "CELERY_RESULT_ENGINE_OPTIONS",
        "Options of the SQLAlchemy engine.",
        _NO_SQLALCHEMY,
        nullable=True,
    ),
    Setting(
        "database_engine_callback",
        CALLABLE,
        None,
        ACCEPTED,
        "DATABASE_ENGINE_CALLBACK",
        "Called with a new SQLAlchemy engine.",
        _NO_SQLALCHEMY,
    ),
    Setting(
        "database_short_lived_sessions",
        FLAG,
        False,
        ACCEPTED,
        "CELERY_RESULT_DB_SHORT_LIVED_SESSIONS",
        "Each operation has an SQLAlchemy session of its own.",
        _NO_SQLALCHEMY,
    ),
    Setting(
        "database_table_names",
        MAPPING,
        None,
        ACCEPTED,
        "CELERY_RESULT_DB_TABLENAMES",
        "Names of the tables `task` and `group`.",
        _OWN_TABLES,
    ),
    Setting(
        "database_table_schemas",
        MAPPING,
        None,
        ACCEPTED,
        "DATABASE_TABLE_SCHEMAS",
        "Schemas of these tables.",
        _OWN_TABLES,
    ),
    Setting(
        "database_create_tables_at_setup",
        FLAG,
        True,
        ACCEPTED,
        "DATABASE_CREATE_TABLES_AT_SETUP",
        "Create the tables before the first result.",
        _OWN_TABLES,
    ),
)

CACHE = (
    Setting(
        "cache_backend",
        TEXT,
        None,
        ACCEPTED,
        "CELERY_CACHE_BACKEND",
        "The cache that keeps results: a URL or the name of a Django cache.",
        _NO_CACHE,
    ),
    Setting(
        "cache_backend_options",
        MAPPING,
        {},
        ACCEPTED,
        "CELERY_CACHE_BACKEND_OPTIONS",
        "Options of the cache.",
        _NO_CACHE,
    ),
)
