"""Chapter eleven: what is told over the bus reaches whoever listens, in order, and nobody else."""

# ruff: noqa: PLR2004 - numbers in a test stand where they are compared
from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from typing import Any, TypeAlias

import pytest

from umbel.brokers.base import Broker
from umbel.brokers.bus import Listener, Notice
from umbel.exceptions import ConnectionLost, EncodeError
from umbel.testing.conformance.broker_wait import LONG, meanwhile, prompt
from umbel.testing.conformance.kind import BrokerKind
from umbel.testing.conformance.steps import PATIENCE, eventually, fork, leave_after, together

__all__ = ["BusChapter"]

#: ``listen(*topics, on=None)``: a Listener that is closed after the test.
Listen: TypeAlias = Callable[..., Listener]

CONTROL = "celery.pidbox"
#: What is told last, so that a test knows when there is nothing more to come.
END = "the end"


class BusChapter(BrokerKind):
    """Bus and Listener."""

    @pytest.fixture
    def listen(self, broker: Broker) -> Iterator[Listen]:
        with ExitStack() as opened:

            def listen(*topics: str, on: Broker | None = None) -> Listener:
                return opened.enter_context(closing((on or broker).bus.listen(topics)))

            yield listen

    @pytest.fixture
    def mailbox(self, broker: Broker) -> Iterator[Listener]:
        with closing(broker.bus.open_mailbox("home")) as opened:
            yield opened

    # Telling --------------------------------------------------------------------------------------

    def test_what_is_told_reaches_every_listener_in_order(
        self, broker: Broker, second_broker: Broker, listen: Listen
    ) -> None:
        listeners = [listen(CONTROL), listen(CONTROL), listen(CONTROL, on=second_broker)]
        for number in range(10):
            (second_broker if number % 2 else broker).bus.publish(CONTROL, number)
        for listener in listeners:
            assert [one.payload for one in hear(listener, 10)] == list(range(10))

    def test_a_notice_says_where_and_what_and_what_beside_it(
        self, broker: Broker, listen: Listen
    ) -> None:
        listener = listen("celeryev/task.sent")
        broker.bus.publish("celeryev/task.sent", {"a": 1}, {"hostname": "w@größe", "clock": 7})
        assert hear(listener) == [
            Notice("celeryev/task.sent", {"a": 1}, {"hostname": "w@größe", "clock": 7})
        ]

    @pytest.mark.parametrize(
        "payload",
        [
            None,
            0,
            1.5,
            True,
            "größe \N{SNOWMAN}",
            [],
            {},
            [{"type": "a"}, {"type": "b"}],
            {"a": [1, {}]},
        ],
        ids=repr,
    )
    def test_whatever_json_can_say_is_told(
        self, broker: Broker, listen: Listen, payload: Any
    ) -> None:
        listener = listen(CONTROL)
        broker.bus.publish(CONTROL, payload)
        assert hear(listener) == [Notice(CONTROL, payload, {})]

    def test_what_json_cannot_say_is_refused(self, broker: Broker, listen: Listen) -> None:
        listener = listen(CONTROL)
        with pytest.raises(EncodeError):
            broker.bus.publish(CONTROL, object())
        with pytest.raises(EncodeError):
            broker.bus.publish(CONTROL, 1, {"x": object()})
        assert until_end(broker, CONTROL, listener) == []

    def test_a_large_payload_arrives_whole(self, broker: Broker, listen: Listen) -> None:
        listener = listen(CONTROL)
        large = ["x" * 1000] * 2000
        broker.bus.publish(CONTROL, large)
        assert hear(listener)[0].payload == large

    def test_telling_where_nobody_listens_is_harmless(self, broker: Broker) -> None:
        broker.bus.publish(CONTROL, "anybody?")

    def test_telling_says_how_many_it_reached_where_that_is_known(
        self, broker: Broker, second_broker: Broker, listen: Listen
    ) -> None:
        nobody = broker.bus.publish(CONTROL, "anybody?")
        assert nobody in {0, None}
        listen(CONTROL), listen(CONTROL, on=second_broker), listen("other")
        reached = broker.bus.publish(CONTROL, "and now?")
        assert reached == (None if nobody is None else 2)

    def test_a_thousand_notices_arrive_in_order(self, broker: Broker, listen: Listen) -> None:
        listener = listen(CONTROL)
        for number in range(1000):
            broker.bus.publish(CONTROL, number)
        assert [one.payload for one in hear(listener, 1000)] == list(range(1000))

    def test_threads_share_a_bus(self, broker: Broker, listen: Listen) -> None:
        listener = listen(CONTROL)

        def tell(thread: int) -> None:
            for number in range(25):
                broker.bus.publish(CONTROL, [thread, number])

        together(*(partial(tell, thread) for thread in range(4)))
        heard = [one.payload for one in hear(listener, 100)]
        for thread in range(4):
            assert [number for one, number in heard if one == thread] == list(range(25))

    # Topics ---------------------------------------------------------------------------------------

    def test_other_topics_are_not_heard(self, broker: Broker, listen: Listen) -> None:
        listener = listen(CONTROL)
        for topic in (
            "celery.pidbo",
            "celery.pidbox2",
            "celeryXpidbox",
            "celery.pidbox/x",
            "other",
        ):
            broker.bus.publish(topic, 1)
        assert until_end(broker, CONTROL, listener) == []

    def test_several_topics_are_heard_in_the_order_of_telling(
        self, broker: Broker, listen: Listen
    ) -> None:
        listener = listen("a", "b")
        for topic in ("a", "b", "c", "a", "b"):
            broker.bus.publish(topic, topic)
        assert [one.topic for one in hear(listener, 4)] == ["a", "b", "a", "b"]

    def test_a_star_stands_for_any_text(self, broker: Broker, listen: Listen) -> None:
        events, sent = listen("celeryev/*"), listen("*/task.s*")
        told = ["celeryev/task.sent", "celeryev/worker.online", "celeryev", "x/task.started"]
        for topic in told:
            broker.bus.publish(topic, 1)
        assert [one.topic for one in hear(events, 2)] == told[:2]
        assert [one.topic for one in hear(sent, 2)] == ["celeryev/task.sent", "x/task.started"]
        assert until_end(broker, "celeryev/end", events) == []

    def test_other_letters_stand_for_themselves(self, broker: Broker, listen: Listen) -> None:
        odd = "a?[b-d]^\\."
        listener = listen(f"{odd}*")
        for topic in (odd, "axb.", "a?b^\\.", f"{odd}more"):
            broker.bus.publish(topic, 1)
        assert [one.topic for one in hear(listener, 2)] == [odd, f"{odd}more"]

    def test_topics_that_overlap_are_heard_once(self, broker: Broker, listen: Listen) -> None:
        listener = listen("celeryev/*", "*", "celeryev/task.sent")
        for _ in range(3):
            broker.bus.publish("celeryev/task.sent", "same")
        broker.bus.publish("other", END)
        assert [one.payload for one in hear(listener, 4)] == ["same", "same", "same", END]
        assert until_end(broker, "last", listener) == []

    # When -----------------------------------------------------------------------------------------

    def test_what_was_told_before_listening_is_missed(self, broker: Broker, listen: Listen) -> None:
        broker.bus.publish(CONTROL, "early")
        assert until_end(broker, CONTROL, listen(CONTROL)) == []

    def test_what_is_told_is_heard_once(self, broker: Broker, listen: Listen) -> None:
        listener = listen(CONTROL)
        broker.bus.publish(CONTROL, 1)
        assert len(hear(listener)) == 1
        assert listener.take() == []
        assert until_end(broker, CONTROL, listener) == []

    def test_a_waiting_listener_is_woken(self, second_broker: Broker, listen: Listen) -> None:
        listener = listen(CONTROL)
        with prompt(), meanwhile(lambda: second_broker.bus.publish(CONTROL, 1)):
            assert hear(listener, patience=LONG)[0].payload == 1

    def test_a_wait_for_nothing_ends_in_time(self, listen: Listen) -> None:
        listener = listen(CONTROL)
        began = time.monotonic()
        listener.wait(0.05)
        assert time.monotonic() - began < 2.0
        assert listener.take() == []

    def test_a_readable_file_descriptor_ends_the_wait_for_a_notice(self, listen: Listen) -> None:
        self._is_woken_by_a_descriptor(listen(CONTROL))

    def test_a_readable_file_descriptor_ends_the_wait_for_a_reply(self, mailbox: Listener) -> None:
        self._is_woken_by_a_descriptor(mailbox)

    @staticmethod
    def _is_woken_by_a_descriptor(listener: Listener) -> None:
        readable, writable = os.pipe()
        try:
            with prompt(), meanwhile(lambda: os.write(writable, b"x")):
                listener.wait(LONG, [readable])
            with prompt():
                listener.wait(LONG, [readable])
            assert listener.take() == []
        finally:
            os.close(readable)
            os.close(writable)

    def test_closing_a_listener_twice_is_harmless(self, broker: Broker) -> None:
        for listener in (broker.bus.listen([CONTROL]), broker.bus.open_mailbox("home")):
            listener.close()
            listener.close()
        broker.bus.publish(CONTROL, 1)
        broker.bus.send_to("home", 1)

    # Mailboxes ------------------------------------------------------------------------------------

    def test_replies_reach_the_mailbox_of_their_name_in_order(
        self, broker: Broker, second_broker: Broker, mailbox: Listener
    ) -> None:
        with closing(broker.bus.open_mailbox("neighbour")) as neighbour:
            for number in range(5):
                second_broker.bus.send_to("home", {"w": number}, {"ticket": "t"})
            second_broker.bus.send_to("neighbour", END)
            assert hear(mailbox, 5) == [
                Notice("home", {"w": number}, {"ticket": "t"}) for number in range(5)
            ]
            assert hear(neighbour) == [Notice("neighbour", END, {})]
        assert mailbox.take() == []

    def test_an_owner_who_waits_is_woken_by_a_reply(
        self, second_broker: Broker, mailbox: Listener
    ) -> None:
        for number in range(3):
            with prompt(), meanwhile(partial(second_broker.bus.send_to, "home", number)):
                assert hear(mailbox, patience=LONG)[0].payload == number

    def test_a_reply_is_taken_without_waiting(self, broker: Broker, mailbox: Listener) -> None:
        mailbox.wait(0.01)
        broker.bus.send_to("home", 1)
        assert [one.payload for one in eventually(mailbox.take)] == [1]

    def test_replies_of_many_at_once_all_arrive(self, broker: Broker, mailbox: Listener) -> None:
        def reply(thread: int) -> None:
            for number in range(10):
                broker.bus.send_to("home", [thread, number])

        together(*(partial(reply, thread) for thread in range(4)))
        assert len({tuple(one.payload) for one in hear(mailbox, 40)}) == 40

    def test_a_reply_to_nobody_is_harmless(self, broker: Broker) -> None:
        broker.bus.send_to("nobody", 1)
        with closing(broker.bus.open_mailbox("nobody")) as opened:
            assert opened.take() == []

    def test_replies_are_not_heard_by_those_who_listen(
        self, broker: Broker, mailbox: Listener, listen: Listen
    ) -> None:
        listener = listen("*")
        broker.bus.send_to("home", 1)
        assert len(hear(mailbox)) == 1
        assert until_end(broker, "last", listener) == []

    def test_a_closed_mailbox_gets_nothing(self, broker: Broker) -> None:
        broker.bus.open_mailbox("home").close()
        broker.bus.send_to("home", "late")
        with closing(broker.bus.open_mailbox("home")) as opened:
            broker.bus.send_to("home", "in time")
            assert [one.payload for one in hear(opened)] == ["in time"]

    def test_a_mailbox_whose_owner_does_not_look_is_given_up_and_begun_anew(
        self, broker: Broker
    ) -> None:
        with closing(broker.bus.open_mailbox("home", expires=0.2)) as mailbox:
            broker.bus.send_to("home", "forgotten")
            pause = time.monotonic() + 0.3
            eventually(lambda: time.monotonic() > pause)
            assert mailbox.take() == []
            broker.bus.send_to("home", "fresh")
            assert [one.payload for one in hear(mailbox)] == ["fresh"]

    def test_a_mailbox_lives_as_long_as_its_owner_looks(self, broker: Broker) -> None:
        with closing(broker.bus.open_mailbox("home", expires=0.3)) as mailbox:
            until = time.monotonic() + 0.7
            while time.monotonic() < until:
                mailbox.wait(0.1)
            broker.bus.send_to("home", "here")
            mailbox.wait(0.5)
            assert [one.payload for one in hear(mailbox)] == ["here"]

    # Processes and servers ------------------------------------------------------------------------

    def test_processes_tell_each_other(self, broker: Broker, listen: Listen) -> None:
        if not self.crosses_processes:
            pytest.skip("this kind of broker stays within one process")
        listener = listen(CONTROL)
        broker.bus.publish(CONTROL, "parent")

        def tell() -> None:
            with closing(broker.bus.listen(["to-the-child"])) as inner:
                broker.bus.publish(CONTROL, "child")
                assert hear(inner)[0].payload == "parent"
                broker.bus.send_to("home", "reply")

        with closing(broker.bus.open_mailbox("home")) as mailbox:
            child = fork()
            if child == 0:
                leave_after(tell)
            assert [one.payload for one in hear(listener, 2)] == ["parent", "child"]
            broker.bus.publish("to-the-child", "parent")
            assert hear(mailbox)[0].payload == "reply"
            assert os.waitpid(child, 0)[1] == 0
        broker.bus.publish(CONTROL, END)
        assert hear(listener)[0].payload == END

    def test_a_child_has_a_bus_of_its_own(self, broker: Broker, listen: Listen) -> None:
        listener = listen(CONTROL)
        broker.bus.publish(CONTROL, "before")

        def talk_to_oneself() -> None:
            with closing(broker.bus.listen([CONTROL])) as inner:
                broker.bus.publish(CONTROL, "inside")
                assert hear(inner)[0].payload == "inside"

        child = fork()
        if child == 0:
            leave_after(talk_to_oneself)
        assert os.waitpid(child, 0)[1] == 0
        expected = ["before", "inside"] if self.crosses_processes else ["before"]
        assert [one.payload for one in hear(listener, len(expected))] == expected

    def test_after_a_restart_of_the_server_one_listens_anew(
        self, url: str, broker: Broker, listen: Listen, mailbox: Listener
    ) -> None:
        if not self.survives_restart:
            pytest.skip("this kind of broker does not survive a restart")
        listener = listen(CONTROL)
        broker.bus.publish(CONTROL, "before")
        assert len(hear(listener)) == 1
        self.restart(url)
        for one in (listener, mailbox):
            try:
                one.wait(0.1)
                one.take()
            except ConnectionLost:
                one.take()
        broker.bus.publish(CONTROL, "after")
        broker.bus.send_to("home", "reply")
        assert [one.payload for one in hear(listener)] == ["after"]
        assert [one.payload for one in hear(mailbox)] == ["reply"]


def hear(listener: Listener, count: int = 1, patience: float = PATIENCE) -> list[Notice]:
    """Take ``count`` notices, waiting as long as it needs."""
    heard: list[Notice] = []
    deadline = time.monotonic() + patience
    while len(heard) < count:
        heard += listener.take()
        if len(heard) < count:
            assert time.monotonic() < deadline, f"heard {len(heard)} of {count} notices"
            listener.wait(max(0.0, deadline - time.monotonic()))
    assert len(heard) == count
    return heard


def until_end(broker: Broker, topic: str, listener: Listener) -> list[Notice]:
    """Everything that comes before what is told now."""
    broker.bus.publish(topic, END)
    heard: list[Notice] = []
    deadline = time.monotonic() + PATIENCE
    while not heard or heard[-1].payload != END:
        assert time.monotonic() < deadline, f"heard {heard}"
        listener.wait(1.0)
        heard += listener.take()
    return heard[:-1]
