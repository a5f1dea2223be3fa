"""What only the broker in memory does."""

from __future__ import annotations

import os
import threading
import time
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest
from tests.clocks import Movable

from umbel.backends.memory import MemoryBackend
from umbel.brokers.base import Settlement, Verdict
from umbel.brokers.memory import MemoryBroker
from umbel.drivers.memory import erase, memory
from umbel.exceptions import EncodeError, ImproperlyConfigured, MessageTooLarge
from umbel.testing.conformance.steps import ack, fork, ids, leave_after, receive
from umbel.testing.messages import message, messages, record


@pytest.fixture
def url():
    url = f"memory://{uuid4()}"
    yield url
    erase(url)


@pytest.fixture
def consumer(url):
    with closing(MemoryBroker(url).consume(["celery"], "worker-1")) as consumer:
        yield consumer


def test_the_same_name_means_the_same_store(url, consumer):
    sent = message()
    MemoryBroker(url).publish([sent])
    assert ids(receive(consumer)) == [sent.id]


@pytest.mark.parametrize("same", ["memory://one", "memory://one/", "memory://one?x=1"])
def test_a_name_may_be_written_in_different_ways(same):
    assert memory(same) is memory("memory://one")


def test_other_names_mean_other_stores(url, consumer):
    MemoryBroker(f"memory://{uuid4()}").publish([message()])
    MemoryBroker("memory://").publish([message()])
    assert consumer.exchange([], 10).deliveries == []
    erase("memory://")


def test_messages_outlive_the_objects_that_sent_them(url, consumer):
    sent = message()
    broker = MemoryBroker(url)
    broker.publish([sent])
    broker.close()
    del broker
    assert ids(receive(consumer)) == [sent.id]


def test_an_erased_store_is_as_new(url):
    broker = MemoryBroker(url)
    broker.publish([message(), message(due=time.time() + 60)])
    with closing(broker.consume(["celery"], "worker-1")) as consumer:
        receive(consumer)
        erase(url)
        assert broker.admin.queues() == []
        assert broker.admin.consumers() == []
        assert not broker.attended()
        sent = message()
        broker.publish([sent])
        assert ids(receive(consumer)) == [sent.id]


def empty_and_usable(broker):
    assert broker.admin.queues() == []
    broker.publish(messages(2))
    assert len(broker.admin.purge("celery")) == 2


def test_a_forked_child_begins_with_an_empty_store(url):
    broker = MemoryBroker(url)
    broker.publish([message()])
    child = fork()
    if child == 0:
        leave_after(lambda: empty_and_usable(broker))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(broker.admin.purge("celery")) == 1


def test_a_fork_while_another_thread_holds_the_store_leaves_the_child_free(url):
    broker = MemoryBroker(url)
    held, done = threading.Event(), threading.Event()

    def hold():
        with broker.store.lock:
            held.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    child = fork()
    if child == 0:
        leave_after(lambda: broker.publish([message()]))
    done.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_it_says_that_other_processes_see_none_of_it():
    assert not MemoryBroker.crosses_processes


def test_a_clock_that_is_moved_makes_delayed_messages_due(url):
    clock = Movable()
    broker = MemoryBroker(url, clock=clock)
    sent = message(due=clock.moment + 3600)
    broker.publish([sent])
    with closing(broker.consume(["celery"], "worker-1")) as consumer:
        assert consumer.exchange([], 10).deliveries == []
        clock.moment += 3600
        assert ids(consumer.exchange([], 10).deliveries) == [sent.id]


def test_a_clock_that_is_moved_makes_consumers_silent(url):
    clock = Movable()
    broker = MemoryBroker(url, clock=clock)
    with closing(broker.consume(["celery"], "worker-1")):
        clock.moment += 29
        assert broker.silent(30) == {}
        clock.moment += 1
        assert list(broker.silent(30)) == ["worker-1"]
        broker.beat(["worker-1"])
        assert broker.silent(30) == {}


def test_a_rescue_that_has_just_begun_is_not_taken_over(url):
    clock = Movable()
    broker = MemoryBroker(url, clock=clock)
    with closing(broker.consume(["celery"], "worker-1")):
        clock.moment += 30
        heir = broker.adopt("worker-1")
        assert broker.silent(30) == {}
        clock.moment += 30
        assert list(broker.silent(30)) == ["worker-1"]
        heir.close()
        assert broker.silent(30) == {}


def test_dead_letters_vanish_with_time_also_when_nothing_else_dies(url):
    clock = Movable()
    broker = MemoryBroker(url, clock=clock, dead_max_age=60)
    broker.publish([message()])
    with closing(broker.consume(["celery"], "worker-1")) as consumer:
        (delivery,) = consumer.exchange([], 1).deliveries
        rejection = Settlement(delivery=delivery, verdict=Verdict.REJECT, reason="no")
        consumer.exchange([rejection], 0)
    assert broker.admin.dead_count() == 1
    clock.moment += 61
    assert broker.admin.dead_count() == 0


def test_nothing_is_settled_when_a_follow_up_message_cannot_be_sent(url, consumer):
    broker = MemoryBroker(url)
    sent = message()
    broker.publish([sent])
    (delivery,) = receive(consumer)
    odd = message(headers={"thing": object()})
    with pytest.raises(EncodeError, match="thing"):
        ack(consumer, delivery, publish=(message(), odd))
    assert ids(consumer.lent()) == [sent.id]
    assert consumer.exchange([], 10).deliveries == []


def test_nothing_is_settled_when_a_record_cannot_be_kept(url):
    backend = MemoryBackend(url)
    broker = MemoryBroker(url)
    sent = message()
    broker.publish([sent])
    with closing(broker.consume(["celery"], "worker-1", backend)) as consumer:
        (delivery,) = receive(consumer)
        with pytest.raises(EncodeError):
            ack(consumer, delivery, record=record(sent.id, result=object()))
        assert ids(consumer.lent()) == [sent.id]
        assert backend.load(sent.id) is None


def test_nothing_of_a_batch_is_sent_when_one_message_is_too_large(url):
    broker = MemoryBroker(url, max_message_size=5000)
    with pytest.raises(MessageTooLarge, match=r"task big\[7\] has \d+ bytes, more than the 5000"):
        broker.publish([message(), message("big", ("x" * 5000,), id="7")])
    assert broker.admin.queues() == []


def test_a_backend_of_another_name_is_not_joined(url):
    assert MemoryBroker(url).joins(MemoryBackend(url))
    assert not MemoryBroker(url).joins(MemoryBackend(f"{url}-other"))


def test_unknown_transport_options_are_refused_by_name():
    with pytest.raises(ImproperlyConfigured, match="visibility_timeout"):
        MemoryBroker("memory://", options={"visibility_timeout": 60})


def test_a_consumer_that_comes_again_under_its_id_has_its_loans(url):
    broker = MemoryBroker(url)
    sent = messages(2)
    broker.publish(sent)
    with closing(broker.consume(["celery"], "worker-1")) as lost:
        (delivery,) = receive(lost)
        with closing(broker.consume(["celery"], "worker-1")) as again:
            assert again.id == "worker-1"
            assert ids(again.lent()) == ids([delivery])
            ack(again, delivery)
            assert ids(receive(lost)) == [sent[1].id]
            assert lost.id != "worker-1"


def test_an_id_whose_owner_is_being_rescued_is_not_given_again(url):
    broker = MemoryBroker(url)
    broker.publish([message()])
    with closing(broker.consume(["celery"], "worker-1")) as dead:
        receive(dead)
        with closing(broker.adopt("worker-1")) as heir:
            with closing(broker.consume(["celery"], "worker-1")) as again:
                assert again.id != "worker-1"
                assert again.lent() == []
            assert len(heir.lent()) == 1


def test_consumers_leave_no_file_descriptors_behind(url):
    broker = MemoryBroker(url)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(50):
        consumer = broker.consume(["celery"], f"worker-{number}")
        consumer.wait(0.0)
        consumer.close()
        broker.adopt(consumer.id).close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
