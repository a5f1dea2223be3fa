"""Interrupting the main thread."""

import contextlib
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from umbel.worker.alarm import MainThreadAlarm, ThreadAlarm


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


@pytest.fixture
def in_thread():
    """Runs a function in a thread of its own; gives what it returned or raised."""

    def run(function):
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(function).result(20)

    return run


def doze():
    for _ in range(1000):
        time.sleep(0.01)


def test_a_thread_is_interrupted(in_thread):
    alarm = ThreadAlarm()

    def work():
        alarm.arm(0.05, Interrupted())
        try:
            doze()
        finally:
            alarm.disarm()

    with pytest.raises(Interrupted):
        in_thread(work)


def test_a_thread_that_disarms_in_time_is_left_alone(in_thread):
    alarm = ThreadAlarm()

    def work():
        for _ in range(200):
            alarm.arm(0.001, Interrupted())
            with contextlib.suppress(Interrupted):
                alarm.disarm()
        time.sleep(0.05)
        return "nothing came later"

    assert in_thread(work) == "nothing came later"


def test_each_thread_has_its_own_alarm_and_may_have_several():
    alarm = ThreadAlarm()

    def limited():
        alarm.arm(0.05, Interrupted())
        alarm.arm(0.2, TimeoutError())
        try:
            doze()
        except Interrupted:
            try:
                doze()
            except TimeoutError:
                return "both"
        finally:
            alarm.disarm()

    def unlimited():
        time.sleep(0.5)
        return "undisturbed"

    with ThreadPoolExecutor(2) as threads:
        found = [threads.submit(one) for one in (limited, unlimited)]
        assert [one.result(20) for one in found] == ["both", "undisturbed"]


def test_the_main_thread_is_interrupted_from_another_one(alarm):
    token = alarm.begin()
    other = threading.Timer(0.05, alarm.interrupt, (token, Interrupted()))
    other.start()
    with pytest.raises(Interrupted):
        time.sleep(10)
    other.join()


def test_what_is_over_is_not_interrupted_any_more(alarm):
    token = alarm.begin()
    alarm.disarm()
    alarm.interrupt(token, Interrupted())
    later = alarm.begin()
    alarm.interrupt(token, Interrupted())

    assert signal.sigtimedwait([signal.SIGUSR2], 0.05) is None
    assert later is not token


def test_a_thread_is_interrupted_from_another_one_and_its_next_work_is_not():
    alarm = ThreadAlarm()
    tokens, hits = [], []

    def work():
        for _ in range(100):
            try:
                try:
                    tokens.append(alarm.begin())
                    time.sleep(0.001)
                finally:
                    alarm.disarm()
            except Interrupted:
                hits.append(1)
        for _ in range(50):  # what came too late would arrive here
            time.sleep(0.001)

    with ThreadPoolExecutor(1) as thread:
        working = thread.submit(work)
        done = 0
        while not working.done():
            for token in tokens[done:]:  # each of them once, at some moment
                done += 1
                alarm.interrupt(token, Interrupted())
        working.result(20)
    assert hits


def test_the_main_thread_may_have_several_alarms(alarm):
    alarm.arm(0.02, Interrupted())
    alarm.arm(0.1, TimeoutError())
    with pytest.raises(Interrupted):
        time.sleep(10)
    with pytest.raises(TimeoutError):
        time.sleep(10)


def test_an_interruption_that_comes_too_late_hits_nobody(alarm):
    token = alarm.begin()
    alarm.disarm()
    alarm.begin()
    alarm.interrupt(token, Interrupted())
    time.sleep(0.01)
    alarm.disarm()


def test_a_thread_whose_alarm_was_taken_back_can_be_profiled(in_thread):
    """An interpreter that goes on looking for what was taken back stands still under a profiler."""
    alarm = ThreadAlarm()

    def work():
        for _ in range(50):
            alarm.begin()
            alarm.arm(0.0001, Interrupted())
            with contextlib.suppress(Interrupted):
                try:
                    time.sleep(0.0005)
                finally:
                    alarm.disarm()

    in_thread(work)
    seen = []
    program = "def called(): return 1\nfor _ in range(9): called()"
    sys.setprofile(lambda *event: seen.append(event[1]))
    try:
        exec(program, {})
    finally:
        sys.setprofile(None)
    assert seen.count("return") >= 9
