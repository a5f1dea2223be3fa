"""Whether a call fits a function's parameters: asked in the caller, before anything is sent.

``call_arguments`` sees to it that there is something to fit: a sequence, and a mapping of names.
The signature is read once per task. Calls with positional arguments alone are checked by counting;
everything that is not plainly right goes to ``inspect``, whose complaint the caller then reads.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["Arguments", "call_arguments"]

_NEVER = sys.maxsize
_SEQUENCES = (tuple, list)


def call_arguments(
    name: str, args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None
) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """The arguments of a call of the task ``name``, None being none; ``TypeError`` for what cannot
    be arguments of any function."""
    if args is None:
        args = ()
    elif not isinstance(args, _SEQUENCES):
        raise TypeError(f"{name}: args must be a list or tuple, not {type(args).__name__}")
    if kwargs is None:
        return args, {}
    if type(kwargs) is not dict and not isinstance(kwargs, Mapping):
        raise TypeError(f"{name}: kwargs must be a mapping, not {type(kwargs).__name__}")
    for key in kwargs:
        if not isinstance(key, str):
            raise TypeError(f"{name}: the keys of kwargs must be strings, not {key!r}")
    return args, kwargs


class Arguments:
    """The parameters of one task. Functions that have no readable signature accept everything."""

    __slots__ = ("_names", "_open", "_required", "least", "most", "name", "signature")

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self.name = name
        #: How many positional arguments alone make a right call.
        self.least = 0
        self.most = _NEVER
        self._open = True
        self._names: dict[str, int] = {}
        self._required: tuple[tuple[int, str], ...] = ()
        try:
            self.signature: inspect.Signature | None = inspect.signature(function)
        except (TypeError, ValueError):
            self.signature = None
        else:
            self._measure(self.signature)

    def _measure(self, signature: inspect.Signature) -> None:
        self.most, self._open = 0, False
        required = []
        for position, parameter in enumerate(signature.parameters.values()):
            kind = parameter.kind
            if kind is parameter.VAR_POSITIONAL:
                self.most = _NEVER
                continue
            if kind is parameter.VAR_KEYWORD:
                self._open = True
                continue
            place = _NEVER if kind is parameter.KEYWORD_ONLY else position
            if kind is not parameter.KEYWORD_ONLY:
                self.most += 1
            if kind is not parameter.POSITIONAL_ONLY:
                self._names[parameter.name] = place
            if parameter.default is parameter.empty:
                # A positional-only parameter cannot be given by name, whatever **kwargs takes.
                required.append(
                    (place, "" if kind is parameter.POSITIONAL_ONLY else parameter.name)
                )
                self.least = _NEVER if place is _NEVER else max(self.least, position + 1)
        self._required = tuple(required)

    def check(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Raise ``TypeError`` when the function cannot be called like this."""
        count = len(args)
        if not kwargs:
            if self.least <= count <= self.most:
                return
        elif count <= self.most and self._fits(count, kwargs):
            return
        self._bind(args, kwargs)

    def _fits(self, count: int, kwargs: Mapping[str, Any]) -> bool:
        names = self._names
        for name in kwargs:
            if names.get(name, _NEVER if self._open else -1) < count:
                return False
        return all(place < count or name in kwargs for place, name in self._required)

    def _bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        if self.signature is None:
            return
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.name}{self.signature}: {error}") from None
