"""``Config``, the object behind ``app.conf``: which value each setting has, and where it comes from.

Values are looked for in layers: what the program set, the environment, the app's arguments, sources, defaults given
by the program, the table. A value found is kept in the instance's ``__dict__``, so that reading it
again is a plain attribute access; any change throws these away. Sources are ``settings_source.py``, names and
kinds ``settings.py``. What a setting means is known to those who read it.
"""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, NamedTuple

from umbel.app.settings import ENVIRONMENT, SETTINGS, prefixes, setting_of
from umbel.app.settings_check import PROGRAM, Checker, Given, UnknownKey, differs, unknown
from umbel.app.settings_source import MISSING, Source
from umbel.app.settings_table.censor import censored as hide
from umbel.app.settings_table.fields import Fields
from umbel.app.settings_table.setting import Setting
from umbel.exceptions import ImproperlyConfigured, UnknownSetting

__all__ = ["Config", "FoundSetting", "UnknownKey"]

_ARGUMENTS = "the app's arguments"
_DEFAULT = "default"


class FoundSetting(NamedTuple):
    """What ``find_option`` answers: section, name within it, row of the table."""

    namespace: str | None
    key: str
    type: Setting


class Config(Fields, MutableMapping[str, Any]):
    """The settings of one app.

    ``strict``: an unknown name is an error; else it is kept, as Celery does, with a warning where it
    looks like a slip. ``arguments``: what the app was constructed with; None is not given.
    """

    # The instance's __dict__ holds found values and nothing else.
    __slots__ = (
        "__dict__",
        "_arguments",
        "_changes",
        "_checked",
        "_checker",
        "_checking",
        "_defaults",
        "_extra",
        "_sources",
    )

    _arguments: dict[str, Any]
    _changes: dict[str, Any]
    _checked: bool
    _checker: Checker
    _checking: set[int]
    _defaults: dict[str, Any]
    _extra: list[Source]
    _sources: list[Source]

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __init__(self, *, strict: bool, arguments: Mapping[str, Any] | None = None) -> None:
        self._internal("_checker", Checker(strict=strict))
        self._internal("_changes", {})
        self._internal("_sources", [])
        self._internal("_extra", [])
        self._internal("_defaults", {})
        self._internal("_checking", set())
        self._internal("_checked", False)
        given = {name: value for name, value in (arguments or {}).items() if value is not None}
        self._internal("_arguments", self._named(given))

    def _internal(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    # Sources --------------------------------------------------------------------------------------------

    def add_source(self, given: Any, namespace: str | None = None, silent: bool = False) -> None:
        """Read settings from this, before all sources added earlier: a mapping, a module, a class, any
        object, or the dotted path of one, which is imported when a setting is first read.
        """
        self._sources.insert(0, Source(given, namespace, silent=silent))
        self.invalidate()

    def add_defaults(self, given: Mapping[str, Any] | Callable[[], Mapping[str, Any]]) -> None:
        """Values for settings that nothing else gives; a function is called when one is first read."""
        self._extra.insert(0, Source(given, label="app.add_defaults"))
        self.invalidate()

    def invalidate(self) -> None:
        """Forget what was found: a source or the environment may have changed."""
        self._internal("_checked", False)
        self._forget()

    def _forget(self) -> None:
        # A new dict, not an empty one: who is looking for a value right now puts it into the old.
        self._internal("__dict__", {})

    def _check(self) -> None:
        """Load the sources, then complain about all that is wrong in them at once."""
        thread = threading.get_ident()
        self._checking.add(thread)
        try:
            for source in self._sources:
                source.load()
            for source in self._extra:
                source.load(call=True)
            given = {*self._arguments, *ENVIRONMENT}
            for source in (*self._sources, *self._extra):
                for name, text in source.remarks(strict=self._checker.strict):
                    self._checker.warn(name, text)
                given.update(source.settings())
            for name in given:
                if name in SETTINGS:
                    self._found(SETTINGS[name])
        finally:
            self._checking.discard(thread)
        self._internal("_checked", True)

    def check(self) -> None:
        """Complain about values, also those that a program set and that are judged when read."""
        for name in {*self._changes, *self._arguments} & SETTINGS.keys():
            self._read(SETTINGS[name])

    # Looking values up ------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        """Called for what is not in ``__dict__``: once for each setting, until something changes."""
        if name.startswith("_"):
            raise AttributeError(name)
        setting = setting_of(name)
        if setting is None:
            return self._foreign(name, UnknownSetting)
        return self._read(setting)

    def _read(self, setting: Setting) -> Any:
        kept = self.__dict__
        if setting.name in kept:
            return kept[setting.name]
        partial = threading.get_ident() in self._checking
        if not self._checked and not partial:
            self._check()
        value = self._found(setting)[0]
        if not partial:
            # A module that is being imported as a source may read settings, but not all are there.
            kept[setting.name] = value
        return value

    def _found(self, setting: Setting) -> tuple[Any, str]:
        """The value and its origin. Converts and checks it."""
        for given in self._layers(setting):
            if given.raw is None and not setting.optional:
                continue
            value = self._checker.convert(setting, given)
            if value is None and setting.fallback:
                break
            return value, given.origin
        if setting.fallback:
            return self._fallback(setting)
        if isinstance(setting.default, dict):
            # Programs fill these in place, so each Config keeps one of its own.
            own = self._defaults.setdefault(setting.name, setting.default.copy())
            return own, _DEFAULT if own == setting.default else PROGRAM
        return setting.default, _DEFAULT

    def _layers(self, setting: Setting) -> Iterator[Given]:
        """Everything that gives this setting a value, the strongest first."""
        name = setting.name
        if name in self._changes:
            self._compare_with_environment(name)
            yield Given(self._changes[name], PROGRAM)
        for variable in ENVIRONMENT.get(name, ()):
            if os.environ.get(variable):
                yield Given(os.environ[variable], f"environment {variable}")
        if name in self._arguments:
            yield Given(self._arguments[name], _ARGUMENTS)
        for source in (*self._sources, *self._extra):
            given = source.find(setting)
            if given is not None:
                yield given

    def _fallback(self, setting: Setting) -> tuple[Any, str]:
        if setting.fallback in SETTINGS:
            return self._found(SETTINGS[setting.fallback])
        for source in (*self._sources, *self._extra):
            raw = source.raw(setting.fallback)
            if raw is not MISSING and raw is not None:
                given = Given(raw, source.label, setting.fallback)
                return self._checker.convert(setting, given), given.origin
        return setting.default, _DEFAULT

    def _compare_with_environment(self, name: str) -> None:
        """Celery lets the environment win over the program; where that makes a difference, say so."""
        if self._checker.strict:
            return
        for variable in ENVIRONMENT.get(name, ()):
            value = os.environ.get(variable)
            if value and value != self._changes[name]:
                self._checker.warn(
                    variable,
                    f"{name} is set by the program, which wins over {variable} in the environment "
                    f"(in Celery the environment wins)",
                )

    def _foreign(self, name: str, error: type[UnknownSetting]) -> Any:
        """What a lenient app reads under a name that is no setting."""
        value = MISSING if self._checker.strict else self._raw(name)
        if value is MISSING:
            raise unknown(name, error)
        return value

    def _raw(self, name: str) -> Any:
        if threading.get_ident() not in self._checking and not self._checked:
            self._check()
        for layer in (self._changes, self._arguments):
            if name in layer:
                return layer[name]
        for source in (*self._sources, *self._extra):
            for prefix in (*prefixes(source.namespace), ""):
                upper = prefix.isupper()
                value = source.raw(prefix + (name.upper() if upper else name))
                if value is not MISSING:
                    return value
        return MISSING

    # Setting values ---------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        self.update({name: value})

    def __setitem__(self, name: str, value: Any) -> None:
        self.update({name: value})

    def update(self, *mappings: Any, **values: Any) -> None:
        """Set several at once: all of them, or none if one is wrong."""
        given: dict[str, Any] = {}
        for mapping in mappings:
            given.update(mapping._changes if isinstance(mapping, Config) else mapping)  # noqa: SLF001 - its own class
        given.update(values)
        self._changes.update(self._named(given))
        self._forget()

    def _named(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The same under the settings' own names, converted."""
        named: dict[str, Any] = {}
        spelled: dict[str, str] = {}
        for spelling, raw in given.items():
            setting = setting_of(spelling)
            if setting is None:
                self._checker.accept_unknown(spelling, self._changes)
                named[spelling] = raw
                continue
            name = setting.name
            value = raw
            if (raw is not None or setting.optional) and not setting.kind.late:
                value = self._checker.convert(setting, Given(raw, PROGRAM))
            if name in named and differs(named[name], value):
                raise ImproperlyConfigured(
                    f"{name} is given twice, with different values: as {spelled[name]} and as {spelling}"
                )
            named[name] = value
            spelled[name] = spelling
        return named

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __delitem__(self, name: str) -> None:
        """Take back what was set through this object."""
        setting = setting_of(name)
        del self._changes[setting.name if setting else name]
        self._forget()

    def pop(self, name: str, *default: Any) -> Any:
        """Take back what was set through this object, and return it."""
        setting = setting_of(name)
        value = self._changes.pop(setting.name if setting else name, *default)
        self._forget()
        return value

    def clear(self) -> None:
        """Take back everything that was set through this object."""
        self._changes.clear()
        self._forget()

    # As a mapping -------------------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Any:
        setting = setting_of(name)
        return self._foreign(name, UnknownKey) if setting is None else self._read(setting)

    def get(self, name: str, default: Any = None) -> Any:
        """The value; ``default`` for a name that a lenient app knows nothing of."""
        try:
            return self[name]
        except UnknownKey:
            if self._checker.strict:
                raise
            return default

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        return setting_of(name) is not None or (
            not self._checker.strict and self._raw(name) is not MISSING
        )

    def __iter__(self) -> Iterator[str]:
        yield from SETTINGS
        yield from (name for name in self.changes if name not in SETTINGS)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *SETTINGS})

    def __repr__(self) -> str:
        return f"<Config: {len(self.changes)} settings changed>"

    def copy(self) -> Config:
        """Another one with the same sources, to be changed apart from this one."""
        other = Config(strict=self._checker.strict)
        other._internal("_arguments", self._arguments.copy())
        for name in ("_changes", "_sources", "_extra", "_defaults"):
            other._internal(name, copy.copy(getattr(self, name)))
        return other

    # Questions ----------------------------------------------------------------------------------------------

    @property
    def changes(self) -> dict[str, Any]:
        """What the program gave: through this object, or as the app's arguments."""
        return self._arguments | self._changes

    def origin(self, name: str) -> str:
        """Where the value comes from, such as ``environment CELERY_BROKER_URL``."""
        setting = setting_of(name)
        if setting is None:
            self._foreign(name, UnknownSetting)
            return PROGRAM if name in self._changes else "a name of the project's own"
        self._read(setting)
        return self._found(setting)[1]

    def value_set_for(self, name: str) -> bool:
        """Something gives the setting a value of its own."""
        setting = setting_of(name)
        if setting is not None and setting.fallback in SETTINGS:
            self._read(setting)  # loads the sources
            return any(given.raw is not None for given in self._layers(setting))
        return name in self and self.origin(name) != _DEFAULT

    def without_defaults(self) -> dict[str, Any]:
        """Name and value of every setting that something gives a value."""
        return {name: self[name] for name in self if self.value_set_for(name)}

    def table(self, with_defaults: bool = False, censored: bool = True) -> dict[str, Any]:
        """The same, or all settings; passwords hidden."""
        shown = {name: self[name] for name in self} if with_defaults else self.without_defaults()
        return {name: hide(name, value) for name, value in shown.items()} if censored else shown

    def humanize(self, with_defaults: bool = False, censored: bool = True) -> str:
        """The same as text, a line for each setting."""
        shown = self.table(with_defaults, censored)
        return "\n".join(f"{name}: {value!r}" for name, value in shown.items())

    def find_option(self, name: str, namespace: str = "") -> FoundSetting:
        """A setting by a name that may lack its section."""
        folded, section = name.lower(), namespace.lower()
        if section and (setting := SETTINGS.get(f"{section}_{folded}")):
            return FoundSetting(section, folded, setting)
        for setting in SETTINGS.values():
            found, _, rest = setting.name.partition("_")
            if rest == folded:
                return FoundSetting(found, rest, setting)
        known = setting_of(name)
        if known is None:
            raise unknown(name, UnknownKey)
        return FoundSetting(None, known.name, known)

    def find_value_for_key(self, name: str, namespace: str = "celery") -> Any:
        """The value of the setting that ``find_option`` finds."""
        return self._read(self.find_option(name, namespace).type)

    def get_by_parts(self, *parts: str) -> Any:
        """The value of the setting whose name has these parts."""
        return self["_".join(part for part in parts if part)]
