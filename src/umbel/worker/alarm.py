"""Interrupts a job at a given moment: how soft time limits arrive in plain functions.

The main thread is sent SIGUSR1, whose handler raises there, between two bytecodes, also while the
task sleeps or waits for I/O. Other threads get no signals: for them the interpreter is asked to
raise between two bytecodes, which has to wait for the end of a call into C.
"""

from __future__ import annotations

import ctypes
import signal
import threading
import time
from abc import ABC, abstractmethod
from operator import itemgetter
from types import FrameType

__all__ = ["Alarm", "MainThreadAlarm", "ThreadAlarm"]


class Alarm(ABC):
    """Pending interruptions for each thread, which arms and disarms its own."""

    def install(self) -> None:  # noqa: B027 - most need nothing
        """Get ready, in the main thread, before anything is armed."""

    @abstractmethod
    def begin(self) -> object:
        """Until it disarms, this thread does something that may be interrupted; a token for that."""

    @abstractmethod
    def interrupt(self, token: object, error: BaseException) -> None:
        """Raise this at once in whoever does what this token stands for, unless that is over. From
        any thread."""

    @abstractmethod
    def arm(self, seconds: float, error: BaseException) -> None:
        """Raise ``error`` in this thread after ``seconds``, unless disarmed before."""

    @abstractmethod
    def disarm(self) -> None:
        """From here on nothing is raised any more."""

    def close(self) -> None:  # noqa: B027 - most have nothing
        """Give back what it has; nothing is armed any more."""


class MainThreadAlarm(Alarm):
    """For the main thread alone, where the signals arrive."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        #: Monotonic moment, what to raise then, and the token of what it is meant for; the earliest
        #: first. Replaced, never changed: the handler may come at any moment.
        self._armed: tuple[tuple[float, BaseException, object], ...] = ()
        #: Up to this moment signals were sent.
        self._rung = 0.0
        self._token: object = None
        self._thread: threading.Thread | None = None

    def install(self) -> None:
        signal.signal(signal.SIGUSR1, self._on_signal)

    def begin(self) -> object:
        self._token = object()
        return self._token

    def interrupt(self, token: object, error: BaseException) -> None:
        with self._change:
            if token is None or token is not self._token:
                return
            self._armed = ((0.0, error, token), *self._armed)
        signal.pthread_kill(_main_thread(), signal.SIGUSR1)

    def arm(self, seconds: float, error: BaseException) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._watch, name="umbel-alarm", daemon=True)
            self._thread.start()
        with self._change:
            one = (time.monotonic() + seconds, error, self._token)
            self._armed = tuple(sorted((*self._armed, one), key=itemgetter(0)))
            self._change.notify()

    def disarm(self) -> None:
        self._token = None
        self._armed = ()

    def _watch(self) -> None:
        main = _main_thread()
        while True:
            with self._change:
                moment = next((one[0] for one in self._armed if one[0] > self._rung), None)
                left = None if moment is None else moment - time.monotonic()
                if moment is None or left is None or left > 0:
                    self._change.wait(left)
                    continue
                self._rung = moment
            signal.pthread_kill(main, signal.SIGUSR1)

    def _on_signal(self, _signum: int, _frame: FrameType | None) -> None:
        # A signal that was sent for the job before this one arrives early, and is ignored.
        if self._armed and time.monotonic() >= self._armed[0][0]:
            (_moment, error, token), *others = self._armed
            self._armed = tuple(others)
            if token is self._token:
                raise error


class ThreadAlarm(Alarm):
    """For any thread. What is raised is a new object of the error's class: the interpreter takes no
    other."""

    def __init__(self) -> None:
        # Not the lock of the condition's own ``with``, which is Python: an interruption in there
        # would leave it locked for ever.
        self._lock = threading.Lock()
        self._change = threading.Condition(self._lock)
        #: Thread -> monotonic moment, and what to raise then.
        self._armed: dict[int, list[tuple[float, type[BaseException]]]] = {}
        self._tokens: dict[int, object] = {}
        #: Threads in which something was raised, or is about to be.
        self._raised: set[int] = set()
        self._watching = False
        self._closed = False

    def begin(self) -> object:
        thread = threading.get_ident()
        token = self._tokens[thread] = (thread, object())
        return token

    def interrupt(self, token: object, error: BaseException) -> None:
        if isinstance(token, tuple):
            with self._lock:
                if self._tokens.get(token[0]) is token:
                    self._raise_in(token[0], type(error))

    def arm(self, seconds: float, error: BaseException) -> None:
        with self._lock:
            armed = self._armed.setdefault(threading.get_ident(), [])
            armed.append((time.monotonic() + seconds, type(error)))
            if not self._watching:
                self._watching = True
                threading.Thread(target=self._watch, name="umbel-alarm", daemon=True).start()
            self._change.notify()

    def disarm(self) -> None:
        came: BaseException | None = None
        while True:
            try:
                self._forget()
                break
            except BaseException as error:  # noqa: BLE001 - it came in the middle of this
                came = error
        if came is not None:
            raise came

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._change.notify()

    def _forget(self) -> None:
        thread = threading.get_ident()
        with self._lock:
            self._tokens.pop(thread, None)
            self._armed.pop(thread, None)
            if thread in self._raised:
                _raise_in(thread, None)  # what is on its way does not arrive any more
                _calm(thread)
                self._raised.discard(thread)

    def _raise_in(self, thread: int, kind: type[BaseException]) -> None:
        self._raised.add(thread)
        _raise_in(thread, kind)

    def _watch(self) -> None:
        with self._lock:
            while not self._closed:
                now = time.monotonic()
                for thread, armed in self._armed.items():
                    for one in [one for one in armed if one[0] <= now]:
                        armed.remove(one)
                        self._raise_in(thread, one[1])
                moments = [moment for armed in self._armed.values() for moment, _ in armed]
                self._change.wait(min(moments) - now if moments else None)


def _main_thread() -> int:
    main = threading.main_thread().ident
    assert main is not None
    return main


def _raise_in(thread: int, kind: type[BaseException] | None) -> None:
    """``PyThreadState_SetAsyncExc``: between two bytecodes of that thread. None: take it back."""
    error = None if kind is None else ctypes.py_object(kind)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), error)


class _Nothing(BaseException):
    pass


def _calm(thread: int) -> None:
    """The interpreter goes on looking for what was taken back, before every call and jump (for ever
    where it is traced, in 3.11), until something arrives."""
    try:
        _raise_in(thread, _Nothing)
        for _ in range(100):
            pass
    except _Nothing:
        return
