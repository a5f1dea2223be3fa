"""The live view of ``umbel events``, drawn with Textual: workers, tasks, one task, and revoking it.

Events are taken in by a thread (``events_watch.py``) as fast as they come; the screen is drawn twice a
second, and only so many rows, however much happens. What the rows say is decided in ``events_text.py``.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import Any, ClassVar, Final

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.coordinate import Coordinate
from textual.widgets import DataTable, Footer, Input, Static

from umbel import states
from umbel.cli.events_screens import Detail, Revocation
from umbel.cli.events_text import STATE_COLORS, printable, task_cells, tasks_shown, worker_cells
from umbel.cli.events_watch import Watch
from umbel.events.state import State, Task
from umbel.exceptions import UmbelError

__all__ = ["EventsView"]

#: Rows that are drawn; the rest is found with the filter.
MOST_TASKS: Final = 200
MOST_WORKERS: Final = 50

_INTERVAL: Final = 0.5
#: Drawings over which the rate of events is taken.
_RATE_OVER: Final = 6

_STATES: Final = (
    *(None, states.PENDING, states.RECEIVED, states.STARTED, states.SUCCESS, states.FAILURE),
    *(states.RETRY, states.REVOKED, states.REJECTED),
)
_WORKER_COLUMNS: Final = (
    *(("Worker", 32), ("Status", 7), ("Active", 6), ("Processed", 10), ("Load", 16)),
    ("Software", 20),
)
_TASK_COLUMNS: Final = (
    *(("Time", 8), ("State", 9), ("Task", 36), ("Id", 36), ("Worker", 24), ("Seconds", 8)),
)


class _Table(DataTable[Text]):
    """Rows by key; keeps the cursor on the row that it was on."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "select_cursor", "Detail")]

    def __init__(self, columns: tuple[tuple[str, int], ...], **options: Any) -> None:
        super().__init__(cursor_type="row", zebra_stripes=True, **options)
        self.keys: list[str] = []
        self._cells: list[tuple[str, ...]] = []
        for label, width in columns:
            self.add_column(label, width=width)

    def show(self, keys: list[str], rows: list[tuple[str, ...]]) -> None:
        """Draw these rows: what has changed of them, or all when there are others."""
        if keys == self.keys:
            for index, (old, new) in enumerate(zip(self._cells, rows, strict=True)):
                if old != new:
                    for column, value in enumerate(new):
                        if old[column] != value:
                            self.update_cell_at(Coordinate(index, column), _styled(value))
        else:
            chosen = self.chosen if self.cursor_row else None
            self.clear()
            for row in rows:
                self.add_row(*map(_styled, row))
            if chosen in keys:
                self.move_cursor(row=keys.index(chosen), animate=False)
        self.keys, self._cells = keys, rows

    @property
    def chosen(self) -> str | None:
        """The key of the row under the cursor."""
        return self.keys[self.cursor_row] if 0 <= self.cursor_row < len(self.keys) else None


def _styled(value: str) -> Text:
    return Text(value, style=STATE_COLORS.get(value, ""), no_wrap=True)


class EventsView(App[None]):
    """Workers above, tasks below."""

    TITLE = "umbel events"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #summary { height: 1; padding: 0 1; background: $panel; }
    #workers { height: auto; max-height: 30%; }
    #tasks { height: 1fr; }
    #filter { display: none; }
    #filter.open { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter"),
        Binding("s", "next_state", "State"),
        Binding("r", "revoke", "Revoke"),
        Binding("p", "pause", "Pause"),
        Binding("c", "clear", "Clear ended"),
        Binding("escape", "no_filter", "No filter", show=False),
        Binding("q", "quit", "Quit"),
    ]

    def __init__(self, app: Any, *, enable: bool = True, state: State | None = None) -> None:
        super().__init__()
        self.state = State() if state is None else state
        self._notes = _Notes()
        self._watched = Watch(app, self.state.event, enable=enable, on_listening=self._notes.forget)
        self._umbel = app
        self._watching = threading.Thread(target=self._listen, name="umbel-events", daemon=True)
        self._paused = False
        self._only: str | None = None
        self._counts: deque[tuple[float, int]] = deque(maxlen=_RATE_OVER)

    def compose(self) -> ComposeResult:
        yield Static(id="summary")
        yield _Table(_WORKER_COLUMNS, id="workers")
        yield _Table(_TASK_COLUMNS, id="tasks")
        yield Input(placeholder="words in name, id, worker or arguments", id="filter")
        yield Footer()

    def on_mount(self) -> None:
        self._notes.take_over()
        self._watching.start()
        self.query_one("#tasks").focus()
        self.set_interval(_INTERVAL, self.draw)
        self.draw()

    def on_unmount(self) -> None:
        self._notes.give_back()
        self._watched.stop()
        self._watching.join(5)

    # Drawing ------------------------------------------------------------------------------------------

    def draw(self) -> None:
        """Show what is known now."""
        if not self._paused:
            workers = list(self.state.workers.values())[:MOST_WORKERS]
            shown = tasks_shown(self.state, self._words, self._only, MOST_TASKS)
            self.query_one("#workers", _Table).show(
                [str(worker.hostname) for worker in workers], [*map(worker_cells, workers)]
            )
            self.query_one("#tasks", _Table).show(
                [str(task.uuid) for task in shown], [*map(task_cells, shown)]
            )
        self.query_one("#summary", Static).update(self._summary())

    def _summary(self) -> Text:
        self._counts.append((time.monotonic(), self.state.event_count))
        (begin, before), (end, now) = self._counts[0], self._counts[-1]
        rate = max(0, now - before) / (end - begin) if end > begin else 0.0
        alive, tasks = sum(1 for _ in self.state.alive_workers()), len(self.state.tasks)
        said = [
            self._watched.where,
            f"{rate:.0f} events/s",
            f"{alive} worker{'' if alive == 1 else 's'}",
            f"{tasks} task{'' if tasks == 1 else 's'}",
        ]
        said += [f"only {self._only}"] if self._only else []
        said += [f"filter: {self._words}"] if self._words else []
        said += ["PAUSED"] if self._paused else []
        said += [problem] if (problem := self._watched.problem or self._notes.last) else []
        return Text(printable("  ·  ".join(said)), no_wrap=True, overflow="ellipsis")

    @property
    def _words(self) -> str:
        return self.query_one("#filter", Input).value

    # Keys ---------------------------------------------------------------------------------------------

    def action_filter(self) -> None:
        """Open the line in which one writes what is looked for."""
        line = self.query_one("#filter", Input)
        line.add_class("open")
        line.focus()

    def on_input_changed(self) -> None:
        self.draw()

    def on_input_submitted(self, submitted: Input.Submitted) -> None:
        if not submitted.value:
            submitted.input.remove_class("open")
        self.query_one("#tasks").focus()

    def action_no_filter(self) -> None:
        """Show all tasks again."""
        self._only = None
        line = self.query_one("#filter", Input)
        line.value = ""
        line.remove_class("open")
        self.query_one("#tasks").focus()
        self.draw()

    def action_next_state(self) -> None:
        """Show the tasks of the next state only; after the last of all states."""
        self._only = _STATES[(_STATES.index(self._only) + 1) % len(_STATES)]
        self.draw()

    def action_pause(self) -> None:
        """Leave the tables as they are, or follow again."""
        self._paused = not self._paused
        self.draw()

    def action_clear(self) -> None:
        """Forget the tasks that have ended."""
        self.state.clear_tasks()
        self.draw()

    def on_data_table_row_selected(self, selected: DataTable.RowSelected) -> None:
        task = self._chosen
        if selected.data_table.id == "tasks" and task is not None:
            self.push_screen(Detail(task))

    def action_revoke(self) -> None:
        """Ask whether the chosen task is to be taken back."""
        task = self.screen.shown if isinstance(self.screen, Detail) else self._chosen
        if task is None or task.uuid is None:
            self.bell()
            return
        uuid = task.uuid
        self.push_screen(Revocation(task), lambda answer: self._revoke(uuid, answer))

    def _revoke(self, uuid: str, answer: str | None) -> None:
        if answer:
            self.run_worker(lambda: self._send_revoke(uuid, answer), thread=True)

    def _send_revoke(self, uuid: str, answer: str) -> None:
        try:
            self._umbel.control.revoke(uuid, terminate=answer == "terminate")
        except UmbelError as error:
            self.call_from_thread(self.notify, printable(error), severity="error", markup=False)
        else:
            self.call_from_thread(self.notify, f"Revoked {printable(uuid)}", markup=False)

    @property
    def _chosen(self) -> Task | None:
        uuid = self.query_one("#tasks", _Table).chosen
        return None if uuid is None else self.state.tasks.get(uuid)

    def _listen(self) -> None:
        self._watched.run(patient=True)


class _Notes(logging.Handler):
    """The last warning: the terminal is the view's, so nothing else may write to it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""
        self._others: list[logging.Handler] = []

    def take_over(self) -> None:
        """Be the one handler of the root."""
        root = logging.getLogger()
        self._others, root.handlers = root.handlers, [self]

    def give_back(self) -> None:
        """Leave it to those who were there before."""
        logging.getLogger().handlers = self._others

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage().partition("\n")[0]

    def forget(self) -> None:
        """What it said is over."""
        self.last = ""
