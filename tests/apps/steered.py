"""The tasks of ``marks``, and two commands of the project's own."""

from tests.apps.marks import app

from umbel.remote import control_command, inspect_command

__all__ = ["app"]

moods = ["good"]


@control_command(args=[("mood", str)], signature="<mood>")
def cheer(state, mood):
    """Change the mood of a node."""
    moods.append(mood)
    return {"ok": f"{state.hostname} feels {mood}"}


@inspect_command()
def mood(state):
    """How a node feels."""
    return moods[-1]
