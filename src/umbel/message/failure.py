"""Exceptions as data: what is stored of a failed task, and the exception a client gets from it.

Nothing is pickled and nothing is imported. ``describe`` keeps the type's path, safe arguments,
notes, causes and the members of groups; ``restore`` makes an exception of the real class where
that is loaded already, else of a class of the same name. What would end the process of whoever asks
(``SystemExit``, ``KeyboardInterrupt``) never comes back as itself. Both are bounded and never raise,
for any exception whatever. How the failure came about, as text, is ``tracebacks.py``.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any

from umbel.exceptions import BackendError, EncodeError, UmbelError
from umbel.message.representation import represent
from umbel.message.serializers import encode
from umbel.message.tracebacks import format_traceback, message_of

__all__ = ["ErrorInfo", "describe", "format_traceback", "message_of", "restore"]

_TEXT = 8192
_ITEMS = 64
_LEVELS = 6
_MEMBERS = 16
#: Causes and groups within each other.
_DEPTH = 8
_SCALARS = frozenset({int, bool, float, type(None)})
_ARGS = BaseException.__dict__["args"]
#: Classes whose text follows from the arguments, so that it need not be sent beside them.
_NATURAL = (BaseException.__str__, KeyError.__str__, BaseExceptionGroup.__str__)


def describe(exc: BaseException, limit: int = 65536, serializer: str = "json") -> dict[str, Any]:
    """``exc_type`` (qualified name), ``exc_message`` (the arguments, each replaced by its repr
    where ``serializer`` cannot encode it) and ``exc_module``, as Celery stores them. Only where
    there is something to say: ``exc_text`` (the text, when it does not follow from the arguments),
    ``exc_notes``, ``exc_cause`` or ``exc_context``, and ``exc_group`` (the members)."""
    return _Description(limit, serializer).exception(exc, 0)


class ErrorInfo:
    """What a task's handlers are told of a failure: the names of billiard's ``ExceptionInfo``, and
    ``str()`` of it is the traceback."""

    def __init__(self, exception: BaseException, traceback: str) -> None:
        self.exception = exception
        self.type = type(exception)
        self.tb = exception.__traceback__
        self.traceback = traceback
        self.internal = False

    @classmethod
    def of(cls, exception: BaseException, traceback: str | None = None) -> ErrorInfo:
        """With the traceback as text, made here unless it was made already."""
        return cls(exception, format_traceback(exception) if traceback is None else traceback)

    def __str__(self) -> str:
        return self.traceback

    def __repr__(self) -> str:
        return f"<ErrorInfo: {represent(self.exception, 200)}>"


class _Description:
    """One call of ``describe``: carries the room that is left for text."""

    def __init__(self, room: int, serializer: str) -> None:
        self.room = room
        self.serializer = serializer

    def exception(self, exc: BaseException, depth: int) -> dict[str, Any]:
        self.room -= 64
        kind = type(exc)
        module = kind.__module__
        data: dict[str, Any] = {
            "exc_type": kind.__qualname__,
            "exc_message": [],
            "exc_module": module if isinstance(module, str) else "builtins",
        }
        try:
            data["exc_message"] = self._arguments(exc)
            self._add_details(data, exc, depth)
        except BaseException:  # noqa: BLE001 - what was found so far is the description
            data["exc_message"] = data["exc_message"] or [message_of(exc)]
        return data

    def _arguments(self, exc: BaseException) -> list[Any]:
        args = _ARGS.__get__(exc)
        if isinstance(exc, BaseExceptionGroup):
            members = exc.exceptions[:_MEMBERS]
            return [self._value(exc.message, 0), [self._text(represent(m)) for m in members]]
        if isinstance(exc, OSError) and len(args) == 2 and exc.filename is not None:  # noqa: PLR2004
            # OSError keeps the file name beside its arguments; its constructor takes it third.
            args = (*args, exc.filename)
            if exc.filename2 is not None:
                args = (*args, None, exc.filename2)
        return [self._value(item, 0) for item in args[:_ITEMS]]

    def _add_details(self, data: dict[str, Any], exc: BaseException, depth: int) -> None:
        if type(exc).__str__ not in _NATURAL:
            data["exc_text"] = self._text(message_of(exc))
        notes = getattr(exc, "__notes__", None)
        if isinstance(notes, list) and notes:
            data["exc_notes"] = [self._text(str(note)) for note in notes[:_MEMBERS]]
        if depth >= _DEPTH or self.room <= 0:
            return
        if isinstance(exc, BaseExceptionGroup):
            data["exc_group"] = [
                self.exception(member, depth + 1) for member in exc.exceptions[:_MEMBERS]
            ]
        if exc.__cause__ is not None:
            data["exc_cause"] = self.exception(exc.__cause__, depth + 1)
        elif exc.__context__ is not None and not exc.__suppress_context__:
            data["exc_context"] = self.exception(exc.__context__, depth + 1)

    def _text(self, text: str) -> str:
        limit = max(min(self.room, _TEXT), 0)
        self.room -= min(len(text), limit)
        if len(text) > limit:
            text = text[:limit] + "…"
        # Not every serializer and store can keep a lone surrogate.
        return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")

    def _value(self, value: Any, level: int) -> Any:
        """The value itself where that is plain and small, else its text."""
        kind = type(value)
        self.room -= 8
        if kind is str:
            return self._text(value)
        if kind in _SCALARS and (kind is not int or value.bit_length() <= _TEXT):
            return value
        if kind in {list, tuple} and len(value) <= _ITEMS and level < _LEVELS and self.room > 0:
            return [self._value(item, level + 1) for item in value]
        if kind is dict and len(value) <= _ITEMS and level < _LEVELS and self.room > 0:
            return {self._key(key): self._value(item, level + 1) for key, item in value.items()}
        return self._foreign(value)

    def _key(self, key: Any) -> str:
        return self._text(key if type(key) is str else represent(key, _ITEMS))

    def _foreign(self, value: Any) -> Any:
        text = represent(value, max(min(self.room, _TEXT), 16))
        if isinstance(value, list | tuple | dict | BaseException) or len(text) >= _TEXT:
            return self._text(text)
        try:
            size = len(encode(value, self.serializer)[2])
        except EncodeError:
            return self._text(text)
        if size > _TEXT:
            return self._text(text)
        self.room -= size
        return value


# Restoring --------------------------------------------------------------------------------------


def restore(data: Any) -> Exception:
    """The exception that ``describe``, or Celery, made this of. Its class is used only where its
    module is loaded and it is an exception class; else, or where its constructor wants other
    arguments than it keeps, the nearest thing that has the same name and the same text. So is what
    no ``except Exception`` would catch: raised from ``get()``, it would end the caller."""
    return _restore(data, 0)


def _restore(data: Any, depth: int) -> Exception:
    if isinstance(data, Exception):
        return data
    if isinstance(data, BaseException):
        data = describe(data)
    if not isinstance(data, dict):
        return BackendError(f"the stored failure is not a mapping: {represent(data, 200)}")
    name, module = data.get("exc_type"), data.get("exc_module")
    name = name if isinstance(name, str) and name else "UnknownError"
    module = module if isinstance(module, str) and module else "umbel.exceptions"
    kind = _harmless(_loaded(module, name), name, module)
    message = data.get("exc_message", ())
    args = tuple(message) if isinstance(message, list | tuple) else (message,)
    if issubclass(kind, BaseExceptionGroup):
        exc = _group(kind, args, data.get("exc_group"), depth)
    else:
        exc = _construct(kind, args, data.get("exc_text"))
    _attach(exc, data, depth)
    return exc


def _loaded(module: str, name: str) -> type[BaseException] | None:
    """The class, if it is there already. Read from ``__dict__``: asking for an attribute could
    make a lazy module import more."""
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        members = getattr(found, "__dict__", None)
        if members is None or part not in members:
            return None
        found = members[part]
    is_exception = isinstance(found, type) and issubclass(found, BaseException)
    return found if is_exception else None


def _harmless(kind: type[BaseException] | None, name: str, module: str) -> type[Exception]:
    """This class, unless it is none or is not an ``Exception``."""
    if kind is not None and issubclass(kind, Exception):
        return kind
    if kind is not None and issubclass(kind, BaseExceptionGroup):
        # Its members are exceptions from here on, and so is the group.
        return _group_stand_in(name, module)
    return _stand_in(name, module)


@lru_cache(maxsize=512)
def _stand_in(name: str, module: str) -> type[UmbelError]:
    made: type[UmbelError] = _named(name, module, UmbelError)
    return made


@lru_cache(maxsize=512)
def _group_stand_in(name: str, module: str) -> type[Exception]:
    made: type[Exception] = _named(name, module, UmbelError, ExceptionGroup)
    return made


def _named(name: str, module: str, *bases: Any) -> Any:
    try:
        made = type(name.rpartition(".")[2] or "UnknownError", bases, {})
        made.__module__, made.__qualname__ = module, name
    except ValueError:  # not a possible name, such as one with a NUL
        made = type("UnknownError", bases, {})
    return made


@lru_cache(maxsize=512)
def _with_text(kind: Any) -> type[Exception]:
    """A subclass that is told its text, for a class that cannot find it by itself."""
    body = {
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__init__": BaseException.__init__,
        "__str__": lambda self: self.__dict__["umbel_text"],
    }
    return type(kind.__name__, (kind,), body)


def _construct(kind: type[Exception], args: tuple[Any, ...], text: Any) -> Exception:
    wanted = text if isinstance(text, str) else _natural_text(kind, args)
    for make in (_call, _bypass):
        exc = make(kind, args)
        if exc is not None and _settle_text(exc, args, wanted):
            return exc
    return _tell_text(kind, args, wanted or ", ".join(str(item) for item in args))


def _natural_text(kind: type[Exception], args: tuple[Any, ...]) -> str | None:
    """What a class that keeps to the defaults says of these arguments; None where it does not."""
    for plain in (Exception, KeyError):
        if kind.__str__ is plain.__str__:
            return message_of(plain(*args))
    return None


def _call(kind: type[Exception], args: tuple[Any, ...]) -> Exception | None:
    try:
        made: object = kind(*args)
    except BaseException:  # noqa: BLE001 - a constructor may refuse in any way
        return None
    return made if isinstance(made, Exception) else None


def _bypass(kind: type[Exception], args: tuple[Any, ...]) -> Exception | None:
    """Made as Python makes it, past the class's own constructor."""
    for base in kind.__mro__:
        if base.__module__ == "builtins":
            break
    try:
        made: Exception = base.__new__(kind, *args)
        made.args = args
    except BaseException:  # noqa: BLE001 - as above
        return None
    return made


def _settle_text(exc: Exception, args: tuple[Any, ...], wanted: str | None) -> bool:
    """Whether the exception says what it is to say, if need be after its arguments were put right:
    a constructor that builds its message from a code would build it of the message once more."""
    try:
        if wanted is None or message_of(exc) == wanted:
            str(exc)
            return True
        exc.args = args
        return message_of(exc) == wanted
    except BaseException:  # noqa: BLE001 - __str__ is user code
        return False


def _tell_text(kind: Any, args: tuple[Any, ...], text: str) -> Exception:
    try:
        exc = _bypass(_with_text(kind), args)
    except Exception:  # noqa: BLE001 - a class may refuse to be subclassed
        exc = None
    if exc is None:
        stand_in: Any = _stand_in(kind.__qualname__, kind.__module__)
        exc = _with_text(stand_in)(*args)
    exc.__dict__["umbel_text"] = text
    return exc


@lru_cache(maxsize=512)
def _plain_group(kind: Any) -> Any:
    """A subclass that is made of a message and members, whatever the class itself wants."""
    body = {
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__new__": BaseExceptionGroup.__new__,
        "__init__": BaseExceptionGroup.__init__,
    }
    return type(kind.__name__, (kind,), body)


def _group(kind: Any, args: tuple[Any, ...], members: Any, depth: int) -> Exception:
    text = str(args[0]) if args else ""
    if isinstance(members, list) and members and depth < _DEPTH:
        inner = [_restore(member, depth + 1) for member in members]
        exc = _call(kind, (text, inner))
        if exc is None:
            try:
                exc = _call(_plain_group(kind), (text, inner))
            except Exception:  # noqa: BLE001 - a class may refuse to be subclassed
                exc = None
        if exc is not None:
            return exc
    return _construct(_stand_in(kind.__qualname__, kind.__module__), args, None)


def _attach(exc: BaseException, data: dict[str, Any], depth: int) -> None:
    notes = data.get("exc_notes")
    cause, context = data.get("exc_cause"), data.get("exc_context")
    try:
        for note in notes if isinstance(notes, list) else ():
            exc.add_note(str(note))
        if cause is not None and depth < _DEPTH:
            exc.__cause__ = _restore(cause, depth + 1)
        if context is not None and depth < _DEPTH:
            exc.__context__ = _restore(context, depth + 1)
    except Exception:  # noqa: BLE001 - a class may refuse attributes; they are extras
        return
