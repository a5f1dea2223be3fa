"""The kinds of pool by name: what runs jobs, how it is interrupted, what it can promise."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from umbel.exceptions import ImproperlyConfigured
from umbel.spelling import nearest
from umbel.worker.alarm import Alarm, MainThreadAlarm, ThreadAlarm
from umbel.worker.board import Place
from umbel.worker.coroutine_runner import plain_runner
from umbel.worker.execution import Pipeline
from umbel.worker.pools.base import Pool
from umbel.worker.pools.inline import InlinePool
from umbel.worker.pools.threads import ThreadsPool

if TYPE_CHECKING:
    from umbel.coroutines import Runner

__all__ = ["KINDS", "PoolKind", "find", "shape"]


class PoolKind(msgspec.Struct, frozen=True, kw_only=True):
    """One way to run jobs in a process."""

    make: Callable[[Pipeline, Place], Pool]
    alarm: Callable[[], Alarm]
    #: Runs coroutines for jobs that run as functions do.
    runner: Callable[[], Runner] = plain_runner
    #: ``-c N`` means slots in one process, not processes.
    slots: bool = False
    #: A job runs in the loop's own thread, and another thread looks after it.
    guarded: bool = False
    #: Nothing is settled while a job runs.
    settles_late: bool = False
    #: The pool needs the process's main thread, so the consumer's loop gets another one.
    main_thread: bool = False
    #: The process must have been patched by gevent when it started.
    patched: bool = False
    #: Called before anything runs beside the supervisor; what it returns ends that in a child.
    watch: Callable[[], Callable[[], object]] | None = None
    #: No supervisor, no other process.
    alone: bool = False
    #: A hard time limit can be kept, by ending the process.
    ends_jobs: bool = False


def _event_loop(pipeline: Pipeline, place: Place) -> Pool:
    from umbel.worker.pools.event_loop import EventLoopPool  # with asyncio, which takes 20 ms

    return EventLoopPool(pipeline, place)


def _greenlet_alarm() -> Alarm:
    from umbel.worker.greenlets import GreenletAlarm  # gevent is an extra

    return GreenletAlarm()


def _greenlet_runner() -> Runner:
    from umbel.worker.greenlets import GreenletRunner  # gevent is an extra

    return GreenletRunner()


def _watch_greenlets() -> Callable[[], object]:
    from umbel.worker.greenlets import watch_greenlets  # gevent is an extra

    return watch_greenlets()


KINDS: Final[dict[str, PoolKind]] = {
    "prefork": PoolKind(make=InlinePool, alarm=MainThreadAlarm, guarded=True, ends_jobs=True),
    "solo": PoolKind(make=InlinePool, alarm=MainThreadAlarm, alone=True, settles_late=True),
    "asyncio": PoolKind(make=_event_loop, alarm=ThreadAlarm, slots=True, main_thread=True),
    # Patched by gevent, threads are greenlets.
    "gevent": PoolKind(
        make=ThreadsPool,
        alarm=_greenlet_alarm,
        runner=_greenlet_runner,
        watch=_watch_greenlets,
        slots=True,
        patched=True,
    ),
    "threads": PoolKind(make=ThreadsPool, alarm=ThreadAlarm, slots=True),
}
_MOST_PROCESSES: Final = 10_000
_MOST_SLOTS: Final = 1_000_000
#: Celery's other name.
_ALIASES: Final = {"processes": "prefork"}


def find(name: str, *, inside: bool = False) -> PoolKind:
    """The kind of this name; ``inside``: as it is in a thread of a process with other work."""
    name = _ALIASES.get(name, name)
    if name not in KINDS:
        known = ", ".join(KINDS)
        raise ImproperlyConfigured(
            f"there is no pool {name!r}{nearest(name, KINDS)}; known: {known}"
        )
    return _inside(name, KINDS[name]) if inside else KINDS[name]


def _inside(name: str, kind: PoolKind) -> PoolKind:
    if kind.ends_jobs:
        raise ImproperlyConfigured(
            f"The {name} pool needs processes of its own, which a worker inside of this process "
            "cannot have: use solo, threads, asyncio or gevent, or start umbel worker"
        )
    if kind.patched and not _is_patched():
        raise ImproperlyConfigured(
            f"The {name} pool needs a process that gevent has patched: call "
            "gevent.monkey.patch_all() before anything else is imported"
        )
    alarm = ThreadAlarm if kind.alarm is MainThreadAlarm else kind.alarm
    return replace(kind, alone=True, alarm=alarm)


def _is_patched() -> bool:
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def shape(
    kind: PoolKind, concurrency: int, processes: int, autoscale: tuple[int, int] | None = None
) -> tuple[int, int]:
    """How many processes there are at the start, and how many slots in each."""
    if autoscale is not None:
        if kind.alone or kind.slots:
            raise ImproperlyConfigured(
                "--autoscale is about processes that run one task each: use -P prefork, or give "
                "this pool a fixed size with -c and --processes"
            )
        _bound(autoscale[1], 1)
        return autoscale[0], 1
    if kind.alone:
        return _bound(1, concurrency if kind.slots else 1)
    return _bound(*((processes, concurrency) if kind.slots else (concurrency * processes, 1)))


def _bound(processes: int, slots: int) -> tuple[int, int]:
    """Refuse what no machine has room for; it is a slip of the keyboard."""
    if processes > _MOST_PROCESSES:
        raise ImproperlyConfigured(
            f"{processes} processes are too many for a worker; at most {_MOST_PROCESSES}"
        )
    if processes * slots > _MOST_SLOTS:
        raise ImproperlyConfigured(
            f"{processes * slots} tasks at once are too many for a worker; at most {_MOST_SLOTS}"
        )
    return processes, slots
