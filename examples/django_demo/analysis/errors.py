"""What can be wrong with a file, said so that whoever uploaded it knows what to do."""

from __future__ import annotations

__all__ = ["UnreadableFile"]


class UnreadableFile(Exception):
    """The file cannot be analysed; the message is shown on the page as it is."""
