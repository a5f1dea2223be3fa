"""What the live view opens over itself: everything about one task, and the question before a revoke."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Footer, Static

from umbel.cli.events_text import details, printable
from umbel.events.state import Task

__all__ = ["Detail", "Revocation"]


class Detail(ModalScreen[None]):
    """Everything that is known of one task; kept up to date while it is open."""

    DEFAULT_CSS = """
    Detail { align: center middle; }
    Detail > VerticalScroll { width: 90%; height: 90%; border: round $primary; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "dismiss", "Close"),
        Binding("r", "app.revoke", "Revoke"),
    ]

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.shown = task
        self._text = ""

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(id="facts")
        yield Footer()

    def on_mount(self) -> None:
        self.show()
        self.set_interval(0.5, self.show)

    def show(self) -> None:
        """Write what is known now, if that has changed."""
        rows = details(self.shown)
        text = Text()
        for name, value in rows:
            text.append(f"{name:>12}  ", style="bold")
            text.append(("\n" + value if "\n" in value else value) + "\n")
        if text.plain != self._text:
            self._text = text.plain
            self.query_one("#facts", Static).update(text)


class Revocation(ModalScreen[str]):
    """Asks before a task is taken back; the answer is ``revoke``, ``terminate`` or empty."""

    DEFAULT_CSS = """
    Revocation { align: center middle; }
    Revocation > Vertical { width: auto; max-width: 90%; height: auto; border: round $warning; padding: 1 2; }
    Revocation Static { width: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer('revoke')", "Revoke"),
        Binding("t", "answer('terminate')", "Revoke, and end it if it runs"),
        Binding("n,escape", "answer('')", "Leave it"),
    ]

    def __init__(self, task: Task) -> None:
        super().__init__()
        self._question = Text.assemble(
            "Revoke this task?\n\n",
            (printable(task.name or "?"), "bold"),
            f"  {printable(task.state)}\n{printable(task.uuid)}\n\n",
            ("y", "bold"),
            " revoke: it does not start   ",
            ("t", "bold"),
            " revoke, and end it if it runs   ",
            ("n", "bold"),
            " no",
        )

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(self._question)
        yield Footer()

    def action_answer(self, answer: str) -> None:
        """Close with this answer."""
        self.dismiss(answer)
