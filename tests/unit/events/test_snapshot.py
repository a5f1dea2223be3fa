"""A camera: when it takes pictures, what it is shown, and what it may do wrong."""

from __future__ import annotations

import logging
import threading

import pytest

from umbel.events.snapshot import Polaroid
from umbel.events.state import State


class Camera(Polaroid):
    """Keeps the number of tasks on each picture."""

    clear_after = True

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.pictures = []
        self.cleaned = 0
        self.taken = threading.Event()

    def on_shutter(self, state):
        self.pictures.append(len(state.tasks))
        self.taken.set()

    def on_cleanup(self):
        self.cleaned += 1


class Hand:
    """A timer that goes off when the test says so."""

    def __init__(self):
        self.calls = {}

    def call_repeatedly(self, seconds, function):
        self.calls[seconds] = function
        return self

    def cancel(self):
        self.calls.clear()


@pytest.fixture
def state():
    made = State()
    for uuid in ("one", "two"):
        made.event({"type": "task-failed", "hostname": "h", "timestamp": 1.0, "uuid": uuid})
    return made


def test_a_camera_is_shown_the_state_which_is_cleared_after_the_picture(state):
    hand = Hand()
    with Camera(state, freq=2.0, timer=hand) as camera:
        hand.calls[2.0]()
        state.event({"type": "task-failed", "hostname": "h", "timestamp": 1.0, "uuid": "three"})
        hand.calls[3600.0]()
    assert (camera.pictures, camera.cleaned, state.tasks) == ([2, 1], 1, {})
    assert hand.calls == {}


def test_a_camera_takes_its_pictures_by_itself(state):
    with Camera(state, freq=0.01) as camera:
        assert camera.taken.wait(30)


def test_more_pictures_than_the_rate_allows_are_not_taken_and_nothing_is_cleared(state):
    camera = Camera(state, maxrate="1/h")
    camera.capture()
    state.event({"type": "task-failed", "hostname": "h", "timestamp": 1.0, "uuid": "three"})
    camera.capture()
    assert (camera.pictures, list(state.tasks)) == ([2], ["three"])

    with pytest.raises(ValueError, match="'often' is no rate; write 10/s, 10/m or 10/h"):
        Camera(state, maxrate="often")


def test_whoever_is_connected_to_its_signals_is_told(state):
    told = []

    def shown(sender, **_):
        told.append(sender)

    Polaroid.shutter_signal.connect(shown)
    Polaroid.cleanup_signal.connect(shown)
    try:
        camera = Polaroid(state)
        camera.capture()
        camera.cleanup()
    finally:
        Polaroid.shutter_signal.disconnect(shown)
        Polaroid.cleanup_signal.disconnect(shown)
    assert told == [state, state]


def test_a_camera_that_fails_is_logged_and_tried_again(state, caplog):
    class Broken(Camera):
        def on_shutter(self, state):
            if not self.pictures:
                self.pictures.append(0)
                raise OSError("no film")
            super().on_shutter(state)

    with (
        caplog.at_level(logging.ERROR, "umbel.events"),
        Broken(state, freq=0.01) as camera,
    ):
        assert camera.taken.wait(30)
    assert "no film" in caplog.text
