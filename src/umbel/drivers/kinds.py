"""From the scheme of a URL to the class that serves it: the search that brokers and backends share.

A class is imported when a URL asks for it, so that a driver that nobody uses need not be
installed. Other packages add kinds through an entry point whose name is the scheme.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from umbel.drivers.url import hide_password, scheme_of
from umbel.exceptions import ImproperlyConfigured
from umbel.spelling import nearest

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["Kinds"]


class Kinds:
    """The kinds of one thing (``noun``, such as "broker") by scheme."""

    def __init__(
        self,
        noun: str,
        group: str,
        paths: Mapping[str, str],
        extras: Mapping[str, str],
        example: str,
    ) -> None:
        self.noun = noun
        self.group = group
        #: Scheme -> ``module:Class`` of those that come with Umbel.
        self.paths = paths
        #: Scheme -> the extra of ``pip install "umbel[…]"`` that brings its driver.
        self.extras = extras
        self.example = example

    def find(self, url: str) -> type[Any]:
        """The class for this URL; ``ImproperlyConfigured`` says what is wrong with the URL."""
        if not isinstance(url, str) or not url.strip():
            raise ImproperlyConfigured(
                f"a {self.noun} URL is text like {self.example}, not {url!r}"
            )
        scheme = scheme_of(url)
        if scheme is None:
            raise ImproperlyConfigured(
                f"{hide_password(url)!r} is not a {self.noun} URL, which begins with a scheme: "
                f"{self.example}"
            )
        path = self.paths.get(scheme)
        if path is not None:
            return self._import(scheme, path)
        entry = self._entry_points().get(scheme)
        if entry is None:
            raise ImproperlyConfigured(self._unknown(scheme, url))
        return self._load(scheme, entry)

    def schemes(self) -> list[str]:
        """Every known scheme, sorted."""
        return sorted({*self.paths, *self._entry_points()})

    def _entry_points(self) -> dict[str, EntryPoint]:
        # Imported late: it brings the email package along, and only foreign schemes need it.
        entry_points = import_module("importlib.metadata").entry_points
        return {entry.name.lower(): entry for entry in entry_points(group=self.group)}

    def _import(self, scheme: str, path: str) -> type[Any]:
        module, _, name = path.partition(":")
        try:
            found: type[Any] = getattr(import_module(module), name)
        except ModuleNotFoundError as error:
            missing = error.name or str(error)
            if missing.partition(".")[0] == "umbel":
                raise
            raise ImproperlyConfigured(self._missing(scheme, missing)) from error
        return found

    def _load(self, scheme: str, entry: EntryPoint) -> type[Any]:
        try:
            found: type[Any] = entry.load()
        except (ImportError, AttributeError) as error:
            raise ImproperlyConfigured(
                f"the {self.noun} for {scheme}:// ({entry.value}) cannot be imported: {error}"
            ) from error
        return found

    def _missing(self, scheme: str, package: str) -> str:
        extra = self.extras.get(scheme)
        command = f"umbel[{extra}]" if extra else package
        return (
            f"the {self.noun} for {scheme}:// needs the package {package!r}: "
            f'pip install "{command}"'
        )

    def _unknown(self, scheme: str, url: str) -> str:
        schemes = self.schemes()
        return (
            f"there is no {self.noun} for {scheme}:// ({hide_password(url)})"
            f"{nearest(scheme, schemes) or '.'} Known are {', '.join(schemes)}"
        )
