"""Sending from inside event loops: what ``publish`` promises, while the loop goes on."""

# ruff: noqa: PLR2004 - numbers in a test stand where they are compared
from __future__ import annotations

import asyncio
import os
import threading
import time
from functools import partial

import pytest

from umbel.brokers.base import Broker, Consumer
from umbel.exceptions import MessageTooLarge
from umbel.testing.conformance.kind import BrokerKind, Connect
from umbel.testing.conformance.steps import (
    PATIENCE,
    ack,
    fork,
    ids,
    leave_after,
    receive,
    together,
)
from umbel.testing.messages import message, messages

__all__ = ["AsyncSendingChapter"]


class AsyncSendingChapter(BrokerKind):
    """publish_async."""

    def test_messages_of_a_loop_arrive_in_their_order(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        sent = messages(2100)
        asyncio.run(broker.publish_async(sent))
        assert ids(receive(consumer, len(sent), 500)) == ids(sent)

    def test_many_tasks_send_at_once_with_few_threads(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        sent = messages(300)

        async def send() -> None:
            sending = [asyncio.create_task(broker.publish_async([one], PATIENCE)) for one in sent]
            await asyncio.sleep(0)
            assert threading.active_count() < 20
            await asyncio.gather(*sending)

        asyncio.run(send())
        assert sorted(ids(receive(consumer, len(sent), 100))) == sorted(ids(sent))

    def test_a_delayed_message_of_a_loop_waits_in_the_broker(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        later = message(due=time.time() + 0.3)
        asyncio.run(broker.publish_async([later, message(id="now")]))
        assert ids(receive(consumer)) == ["now"]
        assert ids(receive(consumer)) == [later.id]
        assert later.due is not None
        assert time.time() >= later.due - 0.01

    def test_a_message_that_is_too_large_is_refused_inside_a_loop(
        self, another_broker: Connect
    ) -> None:
        broker = another_broker(max_message_size=1000)
        with pytest.raises(MessageTooLarge):
            asyncio.run(broker.publish_async([message(args=["x" * 2000])]))

    def test_a_sender_that_is_cancelled_disturbs_nobody(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        async def send() -> None:
            left = [asyncio.create_task(broker.publish_async([one])) for one in messages(20)]
            await asyncio.sleep(0)
            for one in left:
                one.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            await broker.publish_async([message(id="last")], PATIENCE)

        asyncio.run(send())
        arrived: list[str] = []
        while "last" not in arrived:
            deliveries = receive(consumer)
            arrived += ids(deliveries)
            ack(consumer, *deliveries)
        assert len(set(arrived)) == len(arrived)

    def test_loops_of_several_threads_send_through_one_object(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        def send(number: int) -> None:
            for part in range(5):
                asyncio.run(broker.publish_async([message(id=f"{number}-{part}")], PATIENCE))

        together(*(partial(send, number) for number in range(4)))
        expected = {f"{number}-{part}" for number in range(4) for part in range(5)}
        assert set(ids(receive(consumer, 20))) == expected

    def test_loops_send_in_a_forked_child_and_in_its_parent(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        if not self.crosses_processes:
            pytest.skip("the store of this kind lives in one process")
        asyncio.run(broker.publish_async([message(id="before")]))
        child = fork()
        if child == 0:
            leave_after(lambda: asyncio.run(broker.publish_async([message(id="child")], PATIENCE)))
        asyncio.run(broker.publish_async([message(id="parent")], PATIENCE))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert set(ids(receive(consumer, 3))) == {"before", "child", "parent"}

    def test_a_loop_sends_again_after_close(self, broker: Broker, consumer: Consumer) -> None:
        async def send() -> None:
            await broker.publish_async([message()])
            broker.close()
            await broker.publish_async([message()])

        asyncio.run(send())
        assert len(receive(consumer, 2)) == 2
