"""The child's end of the line to its supervisor: a pipe to be told, a place on the board to tell."""

from __future__ import annotations

import os

from umbel.worker.bell import Bell
from umbel.worker.board import Place

__all__ = ["DRAIN", "Control"]

#: Written by the supervisor: take nothing more, finish what runs, settle and leave.
DRAIN = b"d"


class Control:
    """``fd`` is None where no supervisor exists (solo): then ``drain`` is called directly, and
    there are no other processes for a ``bell`` to wake."""

    def __init__(self, place: Place, fd: int | None = None, bell: Bell | None = None) -> None:
        self.place = place
        self.bell = bell
        self._own_end: int | None = None
        if fd is None:
            fd, self._own_end = os.pipe()
        os.set_blocking(fd, False)
        self.fd = fd
        #: The loop is to take nothing more and leave when all is settled.
        self.draining = False
        #: The supervisor died: nobody beats for this process any more.
        self.orphaned = False

    def read(self) -> None:
        """Take in what the supervisor said since the last look."""
        if self.orphaned:
            return
        try:
            said = os.read(self.fd, 64)
        except BlockingIOError:
            return
        self.draining = True
        if not said:
            # A pipe whose writer is gone stays readable for ever; take one that stays silent.
            self.orphaned = True
            os.close(self.fd)
            self.fd, self._own_end = os.pipe()

    def drain(self) -> None:
        """Say DRAIN to oneself; callable from signal handlers and other threads."""
        assert self._own_end is not None
        os.write(self._own_end, DRAIN)

    def sign(self, consumer_id: str) -> None:
        """Tell the supervisor under which id the loans of this process are kept."""
        self.place.sign(consumer_id)

    def announce(self, *, ready: bool) -> None:
        """Tell the supervisor whether this process takes messages."""
        self.place.announce(ready)
