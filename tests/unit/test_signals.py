"""Signals by themselves: who is called, with what, and what happens when a receiver goes wrong."""

from __future__ import annotations

import gc
import logging
import threading

import pytest

from umbel import signals
from umbel.signals import Signal

#: Those of Celery 5.7.
CELERYS = """
before_task_publish after_task_publish task_internal_error task_prerun task_postrun task_success
task_received task_rejected task_unknown task_retry task_failure task_revoked task_sent
celeryd_init celeryd_after_setup import_modules worker_init worker_before_create_process
worker_process_init worker_process_shutdown worker_ready worker_shutdown worker_shutting_down
setup_logging after_setup_logger after_setup_task_logger beat_init beat_embedded_init
heartbeat_sent eventlet_pool_started eventlet_pool_preshutdown eventlet_pool_postshutdown
eventlet_pool_apply user_preload_options
""".split()  # noqa: SIM905 - a list that can be read


@pytest.fixture
def signal():
    return Signal({"x"}, name="test")


def test_every_signal_of_celery_is_here_and_knows_its_name():
    assert sorted(CELERYS) == sorted(set(signals.__all__) - {"Signal"})
    assert [getattr(signals, name).name for name in CELERYS] == CELERYS


def test_a_receiver_is_told_who_sends_which_signal_and_answers(signal):
    def receiver(**told):
        return told

    assert signal.connect(receiver) is receiver
    assert signal.send("me", x=1) == [(receiver, {"signal": signal, "sender": "me", "x": 1})]
    assert signal.send_robust(sender=None, x=2)[0][1]["x"] == 2


def test_a_signal_without_receivers_is_known_by_a_truth_test(signal):
    def receiver(**_told):
        return None

    assert not signal.receivers
    assert not signal.has_listeners()
    signal.connect(receiver)
    assert signal.receivers
    assert signal.has_listeners()
    assert signal.disconnect(receiver)
    assert not signal.receivers
    assert not signal.disconnect(receiver)


def test_connect_decorates_with_and_without_arguments(signal):
    @signal.connect
    def everybody(**_told):
        return "everybody"

    @signal.connect(sender="one")
    def one(**_told):
        return "one"

    @signal.connect("two")
    def two(**_told):
        return "two"

    def answers(sender):
        return [answer for _receiver, answer in signal.send(sender)]

    assert answers("one") == ["everybody", "one"]
    assert answers("two") == ["everybody", "two"]
    assert answers(None) == ["everybody"]


def test_a_sender_is_that_very_object_or_a_task_by_its_name(signal):
    class Sender:
        name = "shop.ship"

        def __eq__(self, other):
            return True

        __hash__ = object.__hash__

    mine, other = Sender(), Sender()
    told = []
    by_identity = signal.connect(lambda **_told: told.append("very"), sender=mine, weak=False)
    by_name = signal.connect(lambda **_told: told.append("name"), sender="shop.ship", weak=False)

    signal.send(mine)
    assert told == ["very", "name"]
    signal.send(other)
    signal.send("shop.ship")
    assert told == ["very", "name", "name", "name"]
    assert not signal.disconnect(by_identity, sender=other)
    assert signal.disconnect(by_identity, sender=mine)
    assert signal.disconnect(by_name, sender="shop.ship")


def test_a_receiver_is_connected_once_for_each_sender(signal):
    def receiver(**_told):
        return None

    for sender in (None, None, "a", "a", "b"):
        signal.connect(receiver, sender=sender)

    assert len(signal.send("a")) == 2


def test_of_those_with_one_dispatch_uid_the_first_is_connected(signal):
    first = signal.connect(lambda **_told: "first", weak=False, dispatch_uid="one")
    signal.connect(lambda **_told: "second", weak=False, dispatch_uid="one")

    assert signal.send(None) == [(first, "first")]
    assert signal.disconnect(dispatch_uid="one")
    assert signal.send(None) == []


def test_functions_and_bound_methods_are_not_kept_alive(signal):
    class Receiver:
        def receive(self, **_told):
            return "method"

    def function(**_told):
        return "function"

    instance = Receiver()
    signal.connect(instance.receive)
    signal.connect(function)
    assert [answer for _, answer in signal.send(None)] == ["method", "function"]

    del instance
    gc.collect()
    assert [answer for _, answer in signal.send(None)] == ["function"]
    del function
    gc.collect()
    assert signal.send(None) == []
    assert not signal.receivers


def test_a_strong_receiver_is_kept_alive(signal):
    signal.connect(lambda **_told: "kept", weak=False)
    gc.collect()

    assert [answer for _, answer in signal.send(None)] == ["kept"]


def test_bound_methods_of_two_objects_are_two_receivers(signal):
    class Receiver:
        def __init__(self, name):
            self.name = name

        def receive(self, **_told):
            return self.name

    one, two = Receiver("one"), Receiver("two")
    signal.connect(one.receive)
    signal.connect(one.receive)
    signal.connect(two.receive)

    assert [answer for _, answer in signal.send(None)] == ["one", "two"]
    assert signal.disconnect(one.receive)
    assert [answer for _, answer in signal.send(None)] == ["two"]


def test_what_a_receiver_raises_is_logged_and_the_others_are_called(signal, caplog):
    error = ValueError("receivers are people, too")

    def wrong(**_told):
        raise error

    def right(**_told):
        return "right"

    signal.connect(wrong)
    signal.connect(right)

    with caplog.at_level(logging.ERROR, logger="umbel.signals"):
        assert signal.send(None) == [(wrong, error), (right, "right")]
    assert "of signal test raised" in caplog.text
    assert "receivers are people" in caplog.text


def test_a_receiver_with_retry_is_called_until_it_does_not_raise(signal, monkeypatch, caplog):
    monkeypatch.setattr(signals, "_RETRY_FIRST", 0.001)
    monkeypatch.setattr(signals, "_RETRY_STEP", 0.001)
    attempts = []

    @signal.connect(retry=True)
    def late(**_told):
        attempts.append(1)
        if len(attempts) < 3:
            raise ConnectionError("not yet")
        return "at last"

    assert signal.send(None) == [(late, "at last")]
    assert len(attempts) == 3
    assert signal.disconnect(late)


def test_a_receiver_has_to_take_whatever_comes(signal):
    with pytest.raises(ValueError, match=r"accept keyword arguments, \*\*kwargs"):
        signal.connect(lambda sender: None)
    with pytest.raises(TypeError, match="is a function, not 3"):
        signal.connect(3)


def test_a_receiver_may_connect_and_disconnect_while_it_is_called(signal):
    def second(**_told):
        return "second"

    @signal.connect
    def first(**_told):
        signal.disconnect(first)
        signal.connect(second)
        return "first"

    assert [answer for _, answer in signal.send(None)] == ["first"]
    assert [answer for _, answer in signal.send(None)] == ["second"]


def test_threads_may_connect_send_and_disconnect_at_once(signal):
    wrong = []

    def work():
        try:
            for _ in range(200):

                def receiver(**_told):
                    return 1

                signal.connect(receiver)
                assert any(one is receiver for one, _ in signal.send(None))
                assert signal.disconnect(receiver)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []
    assert not signal.receivers
