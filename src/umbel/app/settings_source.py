"""One object that settings are read from: a dict, a class, a module, Django's settings, or the path of one.

A source is read live, name by name, never copied, so that changes of the object show. It knows which spellings
its namespace gives a setting, and finds names that must be mistakes. Which of several sources wins, and what a
value must be, is decided in ``config.py``.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from types import FunctionType, ModuleType
from typing import Any

import msgspec

from umbel.app.settings import near_miss, prefixes, readable, suggestion
from umbel.app.settings_check import Given, differs
from umbel.app.settings_table.censor import censored
from umbel.app.settings_table.setting import Setting
from umbel.exceptions import ImproperlyConfigured, UnknownSetting

__all__ = ["MISSING", "Source"]

MISSING: Any = msgspec.UNSET

#: Without a namespace, unknown names in capitals are looked at when they begin like this.
_TELLING = ("CELERY", "UMBEL_", "BROKER_")


class Source:
    """One place to read settings from. Nothing is imported or called before ``load``."""

    def __init__(
        self,
        given: Any,
        namespace: str | None = None,
        *,
        silent: bool = False,
        label: str = "",
    ) -> None:
        self.namespace = namespace or None
        self.silent = silent
        self._label = label
        self._given = given
        self._object: Any = MISSING

    @property
    def label(self) -> str:
        """``module proj.settings``, for messages."""
        return self._label or _described(self._given if self._object is MISSING else self._object)

    def load(self, *, call: bool = False) -> None:
        """Import what was given as a path. ``call``: a function stands for what it returns."""
        if self._object is not MISSING:
            return
        if isinstance(self._given, str):
            self._object = self._imported(self._given)
        else:
            self._object = self._given() if call and callable(self._given) else self._given

    def raw(self, spelling: str) -> Any:
        """What stands under exactly this name, or MISSING."""
        if isinstance(self._object, Mapping):
            return self._object.get(spelling, MISSING)
        return MISSING if self._object is MISSING else getattr(self._object, spelling, MISSING)

    def find(self, setting: Setting) -> Given | None:
        """The setting's value under the strongest spelling that is there."""
        for spelling in _spellings(self.namespace, setting.name):
            value = self.raw(spelling)
            if value is not MISSING:
                return Given(value, self.label, "" if spelling == setting.name else spelling)
        return None

    def names(self) -> list[str]:
        """Everything that stands in it and could be meant as a setting."""
        if self._object is MISSING:
            return []
        found = self._object if isinstance(self._object, Mapping) else dir(self._object)
        return [name for name in found if isinstance(name, str) and not name.startswith("_")]

    def settings(self) -> dict[str, list[str]]:
        """Name -> its spellings here, for each setting that is given."""
        known = readable(self.namespace)
        found: dict[str, list[str]] = {}
        for name in self.names():
            if name in known:
                found.setdefault(known[name].name, []).append(name)
        return found

    def remarks(self, *, strict: bool) -> Iterator[tuple[str, str]]:
        """Name and warning, for whatever looks like a mistake. What cannot work is raised."""
        found = self.settings()
        for name, spellings in found.items():
            yield from self._doubles(name, spellings)
        known = readable(self.namespace)
        for name in self.names():
            if name not in known:
                yield from self._unknown(name, found, strict=strict)

    def _doubles(self, name: str, spellings: list[str]) -> Iterator[tuple[str, str]]:
        """Two spellings of one setting that do not say the same."""
        ranked = [known for known in _spellings(self.namespace, name) if known in spellings]
        own = prefixes(self.namespace)
        for weaker in ranked[1:]:
            if not differs(self.raw(weaker), self.raw(ranked[0])):
                continue
            if not own:
                values = [censored(name, self.raw(spelling)) for spelling in (ranked[0], weaker)]
                raise ImproperlyConfigured(
                    f"{self.label} gives {name} twice: {ranked[0]} = {values[0]!r} and "
                    f"{weaker} = {values[1]!r}; remove {weaker}"
                )
            # UMBEL_ before CELERY_ is how one settings object serves both.
            if weaker not in {self._spelled(name, prefix, prefix) for prefix in own}:
                yield weaker, f"{weaker} in {self.label} is not read, because {ranked[0]} is given"

    def _unknown(
        self, name: str, found: Mapping[str, Any], *, strict: bool
    ) -> Iterator[tuple[str, str]]:
        """What is to be said about a name that is no setting."""
        prefix = next((own for own in prefixes(self.namespace) if name.startswith(own)), "")
        keyed = isinstance(self._object, Mapping)
        if prefix:
            refused, looked_at = prefix.upper() != "CELERY_", True
        elif name == name.lower():
            refused, looked_at = keyed, keyed or not self.namespace
        else:
            refused, looked_at = False, not self.namespace and name.startswith(_TELLING)
        if not looked_at:
            return
        if strict and refused:
            near = suggestion(name.removeprefix(prefix))
            hint = f"; did you mean {self._spelled(near, prefix, name)!r}?" if near else ""
            raise UnknownSetting(f"{name} in {self.label} is not a setting{hint}")
        meant = self._meant(name, prefix)
        if meant and meant not in found and (keyed or _is_data(self.raw(name))):
            yield name, self._warning(name, meant, prefix)

    def _meant(self, name: str, prefix: str) -> str | None:
        if not prefix and name in readable("CELERY"):
            return readable("CELERY")[name].name
        stem = name.removeprefix(prefix) if prefix else name.removeprefix("CELERY_")
        return near_miss(stem.lower())

    def _warning(self, name: str, meant: str, prefix: str) -> str:
        if not prefix and name in readable("CELERY"):
            return (
                f"{name} in {self.label} is not read: that spelling needs namespace='CELERY'; "
                f"without a namespace write {meant}"
            )
        return (
            f"{name} in {self.label} is not a setting and has no effect; "
            f"did you mean {self._spelled(meant, prefix, name)!r}?"
        )

    @staticmethod
    def _spelled(setting: str, prefix: str, like: str) -> str:
        """The setting's name as it would be written in the place of ``like``."""
        return prefix + (setting.upper() if prefix and like.isupper() else setting)

    def _imported(self, path: str) -> Any:
        module, colon, attribute = path.partition(":")
        try:
            with _current_directory_importable():
                if colon:
                    return _attribute(importlib.import_module(module), attribute)
                return _imported_name(module)
        except (ImportError, AttributeError) as error:
            if self.silent:
                return {}
            raise _unreadable(path, error) from error
        except Exception as error:
            raise _unreadable(path, error) from error


def _spellings(namespace: str | None, name: str) -> list[str]:
    return _all_spellings(namespace)[name]


@cache
def _all_spellings(namespace: str | None) -> dict[str, list[str]]:
    """Setting -> its spellings, in falling strength."""
    found: dict[str, list[str]] = {}
    for spelling, setting in readable(namespace).items():
        found.setdefault(setting.name, []).append(spelling)
    return found


def _unreadable(path: str, error: Exception) -> ImproperlyConfigured:
    return ImproperlyConfigured(
        f"the settings in {path!r} cannot be imported: {type(error).__name__}: {error}"
    )


def _imported_name(path: str) -> Any:
    """A module, or what stands in one under the last part of the path."""
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        parent, dot, attribute = path.rpartition(".")
        if not dot or error.name not in {path, None}:
            raise
        found = importlib.import_module(parent)
        if not hasattr(found, attribute):
            raise
        return _attribute(found, attribute)


def _attribute(found: Any, path: str) -> Any:
    for name in path.split("."):
        found = getattr(found, name)
    return found


@contextmanager
def _current_directory_importable() -> Iterator[None]:
    """A program in another directory, such as the command line, finds the project's modules."""
    here = os.getcwd()  # noqa: PTH109 - compared with the strings in sys.path
    if here in sys.path or "" in sys.path:
        yield
        return
    sys.path.insert(0, here)
    try:
        yield
    finally:
        if here in sys.path:
            sys.path.remove(here)


def _described(given: Any) -> str:
    """What an object is called in messages."""
    if isinstance(given, str):
        return f"module {given}" if ":" not in given else given
    if isinstance(given, Mapping):
        return "a dict"
    if isinstance(given, ModuleType):
        return f"module {given.__name__}"
    if isinstance(given, type | FunctionType):
        kind = "class" if isinstance(given, type) else "function"
        return f"{kind} {given.__module__}.{given.__qualname__}"
    if type(given).__module__ == "django.conf":
        module = getattr(given, "SETTINGS_MODULE", None)
        return f"module {module}" if module else "Django's settings"
    return f"an object of {type(given).__module__}.{type(given).__qualname__}"


def _is_data(value: Any) -> bool:
    """Not a module, class or function, which a settings module imports and defines for itself."""
    return not isinstance(value, ModuleType | type | Callable)
