"""The settings table, cut into files by the first word of the names.

``SECTIONS`` puts the pieces together, in the order of ``docs/settings.md``. Lookups by name are in
``app/settings.py``, values in ``app/config.py``.
"""

from __future__ import annotations

from umbel.app.settings_table.beat import BEAT
from umbel.app.settings_table.brokers import BROKERS
from umbel.app.settings_table.databases import CACHE, DATABASE
from umbel.app.settings_table.general import CONTROL, EVENT, GENERAL, SECURITY
from umbel.app.settings_table.own import OWN
from umbel.app.settings_table.results import REDIS, RESULTS
from umbel.app.settings_table.setting import Setting
from umbel.app.settings_table.tasks import TASKS
from umbel.app.settings_table.vendors import VENDORS
from umbel.app.settings_table.workers import WORKERS

__all__ = ["SECTIONS"]

SECTIONS: dict[str, tuple[Setting, ...]] = {
    "General": GENERAL,
    "Broker": BROKERS,
    "Tasks": TASKS,
    "Workers": WORKERS,
    "Results": RESULTS,
    "Redis": REDIS,
    "Umbel's own": OWN,
    "Beat": BEAT,
    "Events": EVENT,
    "Remote control": CONTROL,
    "Signed messages": SECURITY,
    "Results in SQL databases through SQLAlchemy": DATABASE,
    "Results in caches": CACHE,
    "Results in other products": VENDORS,
}
