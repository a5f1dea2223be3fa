"""Interrupting the main thread."""

import signal
import time

import pytest

from umbel.worker.alarm import MainThreadAlarm


class Interrupted(Exception):
    pass


@pytest.fixture
def alarm():
    before = signal.getsignal(signal.SIGUSR1)
    alarm = MainThreadAlarm()
    alarm.install()
    yield alarm
    alarm.disarm()
    signal.signal(signal.SIGUSR1, before)


def test_it_interrupts_a_sleep(alarm):
    began = time.monotonic()
    with pytest.raises(Interrupted):
        alarm.arm(0.05, Interrupted())
        time.sleep(10)

    assert 0.05 <= time.monotonic() - began < 2


def test_a_disarmed_alarm_stays_silent(alarm):
    alarm.arm(0.02, Interrupted())
    alarm.disarm()

    assert signal.sigtimedwait([signal.SIGUSR2], 0.1) is None


def test_a_late_signal_for_the_job_before_does_not_hit_the_next(alarm):
    alarm.arm(30, Interrupted())
    signal.raise_signal(signal.SIGUSR1)  # as if sent for a job that ended just before

    alarm.disarm()


def test_it_can_be_armed_again(alarm):
    for _ in range(3):
        with pytest.raises(Interrupted):
            alarm.arm(0.01, Interrupted())
            time.sleep(10)
