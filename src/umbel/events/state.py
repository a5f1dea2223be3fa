"""What events tell about a cluster: ``State``, which workers there are and what became of which task.

Celery's names. Feed it with ``Receiver(handlers={"*": state.event})``. It is bounded: the oldest tasks
and workers are forgotten first. Safe to share between threads. It knows what it was told, which may
be less than what happened; what a broker holds is asked of the broker.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from umbel import states
from umbel.events.seen import Task as SeenTask
from umbel.events.seen import Worker as SeenWorker

__all__ = ["State", "Task", "Worker"]

T = TypeVar("T")

#: Celery's names.
Task = SeenTask
Worker = SeenWorker


class Index(Mapping[str, set[SeenTask]]):
    """Tasks by one of their attributes: ``index[name]`` is a set, ``index(name, limit)`` gives pairs of
    id and task, the latest first."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._groups: dict[str, dict[str, SeenTask]] = {}
        self._group_of: dict[str, str] = {}

    def put(self, uuid: str, group: str, task: SeenTask) -> None:
        if self._group_of.get(uuid) != group:
            self.remove(uuid)
            self._group_of[uuid] = group
            self._groups.setdefault(group, {})[uuid] = task

    def remove(self, uuid: str) -> None:
        group = self._group_of.pop(uuid, None)
        if group is not None:
            tasks = self._groups[group]
            del tasks[uuid]
            if not tasks:
                del self._groups[group]

    def __call__(
        self, name: str, limit: int | None = None, reverse: bool = True
    ) -> Iterator[tuple[str, SeenTask]]:
        return self._state.in_order(self._groups.get(name, {}), limit, reverse)

    def __getitem__(self, name: str) -> set[SeenTask]:
        return self._state.freeze_while(lambda: set(self._groups.get(name, {}).values()))

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._groups))

    def __len__(self) -> int:
        return len(self._groups)


class State:
    """The workers and tasks of a cluster, as far as events told of them."""

    Worker: type[SeenWorker] = SeenWorker
    Task: type[SeenTask] = SeenTask

    def __init__(  # noqa: PLR0917 - Celery's positions
        self,
        callback: Callable[[State, dict[str, Any]], object] | None = None,
        workers: dict[str, SeenWorker] | None = None,
        tasks: dict[str, SeenTask] | None = None,
        taskheap: Any = None,  # noqa: ARG002 - Celery's signature
        max_workers_in_memory: int | None = 5000,
        max_tasks_in_memory: int | None = 10000,
        on_node_join: Callable[[SeenWorker], object] | None = None,
        on_node_leave: Callable[[SeenWorker], object] | None = None,
        tasks_by_type: Any = None,  # noqa: ARG002 - found out again, as the next one
        tasks_by_worker: Any = None,  # noqa: ARG002
    ) -> None:
        #: Called with the state and each event, before it is taken in.
        self.event_callback = callback
        self.workers: dict[str, SeenWorker] = {} if workers is None else workers
        #: By id; the first that was heard of comes first.
        self.tasks: dict[str, SeenTask] = {} if tasks is None else tasks
        self.max_workers_in_memory = max_workers_in_memory
        self.max_tasks_in_memory = max_tasks_in_memory
        #: Called with the worker.
        self.on_node_join = on_node_join
        self.on_node_leave = on_node_leave
        self.event_count = 0
        #: How many tasks workers have received.
        self.task_count = 0
        #: For events of other groups: ``{"custom": function(subject, event)}``.
        self.handlers: dict[str, Callable[[str, dict[str, Any]], object]] = {}
        self.tasks_by_type = Index(self)
        self.tasks_by_worker = Index(self)
        self._mutex = threading.RLock()
        self._seen_types: set[str] = set()
        #: Children of tasks that were not heard of yet.
        self._orphans: dict[str, set[str]] = {}
        for uuid, task in self.tasks.items():
            self._put_in_order(uuid, task)

    # Taking in ----------------------------------------------------------------------------------------

    def event(self, event: dict[str, Any]) -> Any:
        """Take in an event: ``((worker or task, whether it is new), subject)``; None for one that is
        of another group or lacks what it must have."""
        with self._mutex:
            self.event_count += 1
            if self.event_callback is not None:
                self.event_callback(self, event)
            kind, hostname, moment = map(event.get, ("type", "hostname", "timestamp"))
            if not isinstance(kind, str):
                return None
            group, _, subject = kind.partition("-")
            handler = self.handlers.get(group)
            if handler is not None:
                return handler(subject, event), subject
            if not isinstance(hostname, str) or not isinstance(moment, int | float):
                return None
            if group == "worker":
                return self._hear_of_worker(subject, hostname, event), subject
            uuid = event.get("uuid")
            if group == "task" and isinstance(uuid, str):
                return self._hear_of_task(subject, uuid, hostname, event), subject
            return None

    def task_event(self, type_: str, fields: dict[str, Any]) -> Any:
        """Take in an event of a task: ``received``, …"""
        told = self.event({**fields, "type": f"task-{type_}"})
        return told and told[0]

    def worker_event(self, type_: str, fields: dict[str, Any]) -> Any:
        """Take in an event of a worker: ``heartbeat``, …"""
        told = self.event({**fields, "type": f"worker-{type_}"})
        return told and told[0]

    def _hear_of_worker(
        self, subject: str, hostname: str, event: dict[str, Any]
    ) -> tuple[SeenWorker, bool]:
        offline = subject == "offline"
        if offline and hostname not in self.workers:
            worker, created = self.Worker(hostname), False
        else:
            worker, created = self.get_or_create_worker(hostname)
        worker.event(subject, event["timestamp"], _received(event) or event["timestamp"], event)
        if self.on_node_join is not None and (created or subject == "online"):
            self.on_node_join(worker)
        if offline:
            self.workers.pop(hostname, None)
            if self.on_node_leave is not None:
                self.on_node_leave(worker)
        return worker, created

    def _hear_of_task(
        self, subject: str, uuid: str, hostname: str, event: dict[str, Any]
    ) -> tuple[SeenTask, bool]:
        task, created = self.get_or_create_task(uuid)
        timestamp, received = event["timestamp"], _received(event)
        if subject == "sent":
            task.client = hostname
        else:
            worker = task.worker
            if worker is None or self.workers.get(hostname) is not worker:
                worker = task.worker = self.get_or_create_worker(hostname)[0]
            worker.event(None, timestamp, received)
            if subject == "received":
                self.task_count += 1
        known_parent = task.parent_id
        task.event(subject, timestamp, received, event)
        self._put_in_order(uuid, task)
        if task.parent_id is not None and task.parent_id != known_parent:
            self._put_below(task.parent_id, uuid)
        return task, created

    def _put_in_order(self, uuid: str, task: SeenTask) -> None:
        if isinstance(task.name, str):
            self._seen_types.add(task.name)
            self.tasks_by_type.put(uuid, task.name, task)
        if task.worker is not None and task.worker.hostname is not None:
            self.tasks_by_worker.put(uuid, task.worker.hostname, task)

    def _put_below(self, parent_id: Any, uuid: str) -> None:
        if not isinstance(parent_id, str):
            return
        parent = self.tasks.get(parent_id)
        if parent is None:
            self._orphans.setdefault(parent_id, set()).add(uuid)
        else:
            parent.child_ids.add(uuid)

    def get_or_create_worker(self, hostname: str, **kwargs: Any) -> tuple[SeenWorker, bool]:
        """The worker of this name, and whether it is new."""
        with self._mutex:
            worker = self.workers.get(hostname)
            if worker is not None:
                worker.update(kwargs)
                return worker, False
            worker = self.workers[hostname] = self.Worker(hostname, **kwargs)
            while len(self.workers) > (self.max_workers_in_memory or len(self.workers)):
                del self.workers[next(iter(self.workers))]
            return worker, True

    def get_or_create_task(self, uuid: str) -> tuple[SeenTask, bool]:
        """The task of this id, and whether it is new."""
        with self._mutex:
            task = self.tasks.get(uuid)
            if task is not None:
                return task, False
            children = self._orphans.pop(uuid, None)
            task = self.tasks[uuid] = self.Task(uuid, cluster_state=self, children=children)
            while len(self.tasks) > (self.max_tasks_in_memory or len(self.tasks)):
                self._forget(next(iter(self.tasks)))
            return task, True

    # Forgetting ---------------------------------------------------------------------------------------

    def _forget(self, uuid: str) -> None:
        parent_id = self.tasks.pop(uuid).parent_id
        self.tasks_by_type.remove(uuid)
        self.tasks_by_worker.remove(uuid)
        if not isinstance(parent_id, str):
            return
        if parent_id in self.tasks:
            self.tasks[parent_id].child_ids.discard(uuid)
        elif parent_id in self._orphans:
            self._orphans[parent_id].discard(uuid)
            if not self._orphans[parent_id]:
                del self._orphans[parent_id]

    def clear_tasks(self, ready: bool = True) -> None:
        """Forget the tasks that have ended; with ``ready=False`` all."""
        with self._mutex:
            for uuid, task in list(self.tasks.items()):
                if not ready or task.state in states.READY_STATES:
                    self._forget(uuid)

    def clear(self, ready: bool = True) -> None:
        """Forget the workers, the counts, and the tasks as ``clear_tasks`` does."""
        with self._mutex:
            self.workers.clear()
            self.clear_tasks(ready)
            self.event_count = self.task_count = 0

    def freeze_while(
        self, fun: Callable[..., T], *args: Any, clear_after: bool = False, **kwargs: Any
    ) -> T:
        """Call this while no event is taken in; afterwards, if wanted, forget what has ended."""
        with self._mutex:
            try:
                return fun(*args, **kwargs)
            finally:
                if clear_after:
                    self.clear()

    # Asking -------------------------------------------------------------------------------------------

    def itertasks(self, limit: int | None = None) -> Iterator[tuple[str, SeenTask]]:
        """Pairs of id and task, as they were first heard of."""
        with self._mutex:
            return iter(list(self.tasks.items())[: limit or None])

    def tasks_by_time(
        self, limit: int | None = None, reverse: bool = True
    ) -> Iterator[tuple[str, SeenTask]]:
        """Pairs of id and task, the one whose last event is the latest first."""
        return self.in_order(self.tasks, limit, reverse)

    tasks_by_timestamp = tasks_by_time

    def in_order(
        self, tasks: Mapping[str, SeenTask], limit: int | None, reverse: bool
    ) -> Iterator[tuple[str, SeenTask]]:
        """These tasks by the time of their last event."""
        with self._mutex:
            rows = list(tasks.items())
        return iter(sorted(rows, key=_moment, reverse=reverse)[:limit])

    def rebuild_taskheap(self) -> None:
        """Celery's name. There is nothing to rebuild: the order is found when somebody asks."""

    def alive_workers(self) -> Iterator[SeenWorker]:
        """The workers that were heard of lately."""
        with self._mutex:
            return iter([worker for worker in self.workers.values() if worker.alive])

    def task_types(self) -> list[str]:
        """The names of all tasks that were heard of."""
        with self._mutex:
            return sorted(self._seen_types)

    # Life ---------------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_mutex"}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        self.__dict__.update(kept)
        self._mutex = threading.RLock()

    def __repr__(self) -> str:
        return f"<State: events={self.event_count} tasks={self.task_count}>"


def _received(event: dict[str, Any]) -> float | None:
    received = event.get("local_received")
    return received if isinstance(received, int | float) else None


def _moment(row: tuple[str, SeenTask]) -> tuple[float, int]:
    task = row[1]
    clock = task.clock
    return task.timestamp or 0.0, clock if isinstance(clock, int) else 0
