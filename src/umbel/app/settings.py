"""Every setting by name: the table, its spellings, and the words for names that are in none of them.

The rows stand in ``settings_table/``; ``config.py`` finds out which value a setting has. From the same rows come
``docs/settings.md`` (``python -m umbel.app.settings > docs/settings.md``) and the annotations of ``app.conf``
(``settings_table/fields.py``), each kept true by a test. Nothing here reads a configuration.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache

from umbel.app.settings_table import SECTIONS
from umbel.app.settings_table.setting import ACCEPTED, SAME, USED, Setting
from umbel.spelling import closest

__all__ = [
    "ENVIRONMENT",
    "OLD_NAMES",
    "SETTINGS",
    "documentation",
    "fields",
    "near_miss",
    "prefixes",
    "readable",
    "setting_of",
    "suggestion",
]

SETTINGS: dict[str, Setting] = {
    setting.name: setting for section in SECTIONS.values() for setting in section
}

#: Old spellings that only Celery can mean; others (``S3_BUCKET``) are read where they have an effect.
_CELERY_WORDS = ("CELERY", "BROKER_")
OLD_NAMES: dict[str, str] = {
    setting.old: setting.name
    for setting in SETTINGS.values()
    if setting.old and (setting.status == USED or setting.old.startswith(_CELERY_WORDS))
}

#: What the environment may give, and the variables that give it, the stronger one first.
ENVIRONMENT: dict[str, tuple[str, ...]] = {
    name: (f"UMBEL_{name.upper()}", f"CELERY_{name.upper()}")
    for name in ("broker_url", "broker_read_url", "broker_write_url", "result_backend")
}

#: As alike as this, and an unknown name is taken for a misspelt one.
_ALIKE = 0.85
#: The same where the number of words differs: a word more makes a name of somebody's own.
_ALIKE_OTHER_WORDS = 0.95
#: Names often given where another was meant, and too short to be found by likeness.
_SHORT = {"broker": "broker_url", "backend": "result_backend"}
#: Sections whose names are also given without their first word.
_SHORTENED = ("task_", "worker_", "result_", "beat_", "broker_", "event_")


def prefixes(namespace: str | None) -> tuple[str, ...]:
    """What settings begin with in an object read with this namespace, the stronger first."""
    if not namespace:
        return ()
    stem = namespace.rstrip("_")
    names = ("UMBEL", "CELERY") if stem.upper() == "CELERY" else (stem,)
    return tuple(f"{name.upper() if stem.isupper() else name.lower()}_" for name in names)


@cache
def readable(namespace: str | None) -> dict[str, Setting]:
    """Every spelling that is read with this namespace, in falling strength for each setting."""
    found: dict[str, Setting] = {}
    for prefix in prefixes(namespace):
        for name, setting in SETTINGS.items():
            found.setdefault(prefix + (name.upper() if prefix.isupper() else name), setting)
    found |= SETTINGS
    if prefixes(namespace) != ("UMBEL_",):
        for old, name in OLD_NAMES.items():
            found.setdefault(old, SETTINGS[name])
    return found


def setting_of(spelling: str) -> Setting | None:
    """The setting that somebody names in a program: by any spelling, with any of our prefixes."""
    return SETTINGS.get(spelling) or readable("CELERY").get(spelling)


def suggestion(name: str) -> str | None:
    """The new name of the setting most like ``name``, for a name that is surely wrong."""
    stem = re.sub(r"^(celery|umbel)_", "", name.casefold())
    found = near_miss(stem) or closest(stem, SETTINGS) or closest(name, OLD_NAMES)
    return OLD_NAMES.get(found, found) if found else None


@cache
def near_miss(stem: str) -> str | None:
    """The new name of the setting that somebody must have meant; None for a name of their own.

    ``stem`` is the name in lower case, without prefix.
    """
    if stem in _stems():
        return None
    found = _SHORT.get(stem) or _shortened().get(stem) or _squeezed().get(stem.replace("_", ""))
    if found:
        return found
    words = stem.count("_")
    alike = closest(stem, (known for known in _stems() if known.count("_") == words), _ALIKE)
    alike = alike or closest(stem, _stems(), _ALIKE_OTHER_WORDS)
    return _stems()[alike] if alike else None


@cache
def _stems() -> dict[str, str]:
    """All names as they stand behind ``CELERY_``, old ones included, and the new name of each."""
    old = {re.sub(r"^celery_", "", old.lower()): name for old, name in OLD_NAMES.items()}
    return old | {name: name for name in SETTINGS}


@cache
def _shortened() -> dict[str, str]:
    """``soft_time_limit`` -> ``task_soft_time_limit``, where only one setting can be meant."""
    found: dict[str, list[str]] = {}
    for name in SETTINGS:
        if name.startswith(_SHORTENED):
            found.setdefault(name.partition("_")[2], []).append(name)
    return {short: names[0] for short, names in found.items() if len(names) == 1}


@cache
def _squeezed() -> dict[str, str]:
    """``brokerurl`` -> ``broker_url``."""
    return {name.replace("_", ""): name for name in SETTINGS}


# Generated -------------------------------------------------------------------------------------------

_INTRODUCTION = """\
# Settings

<!-- Written by `python -m umbel.app.settings > docs/settings.md`; do not edit. -->

`app.conf` holds the settings of an app. A setting has the value that the first of these gives it:

1. the program, at any time: `app.conf.task_serializer = "json"`, `app.conf["…"] = …`, `app.conf.update(…)`;
2. the environment, for {environment} (`UMBEL_…` before `CELERY_…`; an empty variable gives nothing);
3. the arguments of the app: `Umbel("proj", broker="redis://…")`;
4. what `app.config_from_object(…)` was given, the newest object first;
5. `app.add_defaults(…)`;
6. the default below.

`app.conf.origin("broker_url")` tells which one it was. In Celery the environment wins over 1 as well; where
the two differ, an app made by `Celery(…)` says so once.

**Spelling.** An object is read with the names below. With `namespace="CELERY"`, as in Django, it is read with
`CELERY_` and the name in capitals (`CELERY_TASK_TIME_LIMIT`), or `UMBEL_` and the name, which wins where both
are there; any other namespace works alike. The old names of Celery 3 are understood too, with
and without a namespace; giving a setting two spellings with different values in one object is an error, except
that a spelling with the namespace's prefix wins over one without it (with a warning).

**Unknown names.** `Umbel(…)` refuses them, with the nearest real name. In an object read by attributes, other names
are the project's own and are left alone; so is a `CELERY_` name, but one that looks like a misspelt
setting gets a warning. `Celery(…)` keeps unknown names, as Celery does, and gives the same warning.

**Values.** Durations are seconds or a `timedelta`; numbers and flags may be strings, as the environment has
them. None is the same as not giving the setting, unless the text below says what it stands for. A value
of the wrong kind is an `ImproperlyConfigured` error that names the setting, the value and the place.

**Live.** A value is looked up once and kept. Setting anything through `app.conf` starts anew, and so does Django's
`override_settings`; after changing a settings object by other means, call `app.conf.invalidate()`.

A setting marked *accepted* is understood, so that a Celery project's configuration loads; it has no effect, and giving
it a value of its own is answered by one warning with the reason.
"""

_FOREIGN = """\
## Not settings of the app

| name | of | in Umbel |
|---|---|---|
| `DJANGO_CELERY_BEAT_TZ_AWARE` | django-celery-beat | not read |
| `DJANGO_CELERY_RESULTS["ALLOW_EDITS"]` | django-celery-results | not read |
| `DJANGO_CELERY_RESULTS_TASK_ID_MAX_LENGTH` | django-celery-results | not read |
| `DJANGO_CELERY_RESULTS_ID_FIRST_URLS` | django-celery-results | not read |

Nor are Celery's other environment variables, such as `CELERY_LOADER`, `CELERY_CONFIG_MODULE`,
`CELERY_WORKER_REVOKES_MAX`, `AUTOSCALE_KEEPALIVE` or `C_FORCE_ROOT`: `app.conf` reads none of them.
"""

_TYPED = '''\
"""The types of ``app.conf.<setting>``, for type checkers alone. Generated; do not edit.

Written by ``python -m umbel.app.settings fields`` from the rows of the settings table; a test compares.
Reading gives the first type of a slot; the second may be assigned, and None with it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import timedelta, tzinfo
from os import PathLike
from typing import TYPE_CHECKING, Any, Generic, TypeVar

__all__ = ["Fields"]

if TYPE_CHECKING:
    Read = TypeVar("Read")
    Written = TypeVar("Written")

    class Slot(Generic[Read, Written]):
        def __get__(self, instance: object, owner: type) -> Read: ...
        def __set__(self, instance: object, value: Written) -> None: ...


class Fields:
    """Every setting as an attribute."""

    __slots__ = ()

    if TYPE_CHECKING:
'''


def documentation() -> str:
    """The page ``docs/settings.md``."""
    variables = ", ".join(f"`{name}`" for names in ENVIRONMENT.values() for name in names[1:])
    lines = [_INTRODUCTION.format(environment=variables)]
    for title, settings in SECTIONS.items():
        lines += [f"## {title}", "", *_rows(settings), ""]
    for setting in SETTINGS.values():
        if setting.options:
            lines += [f"## Keys of `{setting.name}`", "", "| key | effect |", "|---|---|"]
            lines += [
                f"| `{key}` | {f'none: {why}' if why else 'yes'} |"
                for key, why in setting.options.items()
            ]
            lines.append("")
    return "\n".join([*lines, _FOREIGN])


def _rows(settings: Iterable[Setting]) -> Iterator[str]:
    yield "| setting | kind | default | meaning | old name |"
    yield "|---|---|---|---|---|"
    for setting in settings:
        meaning = setting.doc
        if setting.celery is not SAME:
            meaning += f" (Celery's default: `{setting.celery!r}`.)"
        if setting.status == ACCEPTED:
            meaning += f" *Accepted: {setting.why}.*"
        kind = setting.kind.label + (" or None" if setting.optional else "")
        old = f"`{setting.old}`" if setting.old else ""
        yield f"| `{setting.name}` | {kind} | `{setting.default!r}` | {meaning} | {old} |"


def fields() -> str:
    """The source of ``settings_table/fields.py``."""
    lines = []
    for setting in SETTINGS.values():
        reads, writes = setting.kind.reads, setting.kind.writes
        if setting.optional and reads != "Any":
            reads += " | None"
        if writes != "Any":
            writes += " | None"
        lines.append(f"        {setting.name}: Slot[{reads}, {writes}]\n")
    return _TYPED + "".join(lines)


if __name__ == "__main__":
    sys.stdout.write(fields() if sys.argv[1:] == ["fields"] else documentation())
