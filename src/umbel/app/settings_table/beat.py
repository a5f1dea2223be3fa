"""Settings that begin with ``beat_``.

Rows of the table in ``app/settings.py``; what a row says is in ``setting.py``, what a value may be in
``kinds.py``. Nothing here reads or checks anything.
"""

from __future__ import annotations

from umbel.app.settings_table.kinds import CLASS, FLAG, PATH, SCHEDULE, SECONDS, WHOLE
from umbel.app.settings_table.setting import ACCEPTED, Setting

__all__ = ["BEAT"]

_NO_BEAT = "Umbel sends nothing on a schedule"

BEAT = (
    Setting(
        "beat_schedule",
        SCHEDULE,
        {},
        ACCEPTED,
        "CELERYBEAT_SCHEDULE",
        "What to send when: a dict of name and entry (`task`, `schedule`, `args`, `kwargs`, `options`).",
        _NO_BEAT,
    ),
    Setting(
        "beat_scheduler",
        CLASS,
        "celery.beat:PersistentScheduler",
        ACCEPTED,
        "CELERYBEAT_SCHEDULER",
        "Where the schedule is kept.",
        _NO_BEAT,
    ),
    Setting(
        "beat_schedule_filename",
        PATH,
        "celerybeat-schedule",
        ACCEPTED,
        "CELERYBEAT_SCHEDULE_FILENAME",
        "File with the moments of the last runs.",
        _NO_BEAT,
    ),
    Setting(
        "beat_max_loop_interval",
        SECONDS,
        0.0,
        ACCEPTED,
        "CELERYBEAT_MAX_LOOP_INTERVAL",
        "Longest sleep between two looks at the schedule.",
        _NO_BEAT,
    ),
    Setting(
        "beat_sync_every",
        WHOLE,
        0,
        ACCEPTED,
        "CELERYBEAT_SYNC_EVERY",
        "The file is written after so many tasks. 0: from time to time.",
        _NO_BEAT,
    ),
    Setting(
        "beat_cron_starting_deadline",
        SECONDS,
        None,
        ACCEPTED,
        "CELERYBEAT_CRON_STARTING_DEADLINE",
        "A run missed for longer is left out. None: never.",
        _NO_BEAT,
    ),
    Setting(
        "beat_enable_remote_control",
        FLAG,
        False,
        ACCEPTED,
        "CELERYBEAT_ENABLE_REMOTE_CONTROL",
        "Beat answers `ping`.",
        _NO_BEAT,
    ),
    Setting(
        "beat_remote_control_max_tick_age",
        SECONDS,
        None,
        ACCEPTED,
        "CELERYBEAT_REMOTE_CONTROL_MAX_TICK_AGE",
        "It does not when its last look is older.",
        _NO_BEAT,
    ),
)
