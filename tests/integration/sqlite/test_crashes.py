"""Processes die at any moment: nothing acknowledged is lost, and no loan ends twice.

Each message, when it is acknowledged, sends exactly one message to the queue ``done`` and stores one
result, all in one step. So ``done`` is the ledger: every id must be there, and once.
"""

from __future__ import annotations

import gc
import os
import random
import signal
import time
from collections import Counter

import pytest
from tests.integration.sqlite.processes import Child, child

from umbel.backends.sql import SqlBackend
from umbel.brokers.base import Settlement, Verdict
from umbel.brokers.sql.broker import SqlBroker
from umbel.states import SUCCESS
from umbel.testing.conformance.steps import ids, message_of, receive
from umbel.testing.messages import message, messages, record

ROUNDS = 25


def work(url, name, *, until_empty=False):
    """Take, acknowledge with a result, and report to ``done``, until killed or until empty."""
    broker, backend = SqlBroker(url), SqlBackend(url)
    consumer = broker.consume(["work"], name, backend)
    settlements = []
    while True:
        exchange = consumer.exchange(settlements, random.randint(1, 30))
        assert exchange.refused == []
        settlements = [
            Settlement(
                delivery=one,
                verdict=Verdict.ACK,
                record=record(message_of(one).id, SUCCESS, os.getpid()),
                publish=(message("done", queue="done", headers={"about": message_of(one).id}),),
            )
            for one in exchange.deliveries
        ]
        if not settlements:
            if until_empty:
                break
            consumer.wait(0.05)
    consumer.close()


def take_back(broker, name):
    """What the supervisor does for its dead child."""
    heir = broker.adopt(name)
    loans = [Settlement(delivery=one, verdict=Verdict.RELEASE, counted=True) for one in heir.lent()]
    assert heir.exchange(loans, 0).refused == []
    heir.close()
    return len(loans)


def reported(broker):
    """The ids in ``done``, which is emptied."""
    found = []
    while purged := broker.admin.purge("done"):
        found += [one.headers["about"] for one in purged]
    return found


def integrity(broker):
    with broker.driver.session() as session:
        return session.fetch("PRAGMA integrity_check")


def test_workers_that_are_killed_at_any_moment_lose_nothing_and_repeat_nothing(
    url, broker, backend
):
    sent = messages(6000, "work", queue="work")
    broker.publish(sent, timeout=30)
    killed_with_loans = 0
    for number in range(ROUNDS):
        names = [f"worker-{number}-{one}" for one in range(2)]
        workers = [Child(lambda name=name: work(url, name)) for name in names]
        time.sleep(random.uniform(0.005, 0.06))
        for worker in workers:
            assert worker.kill() == -signal.SIGKILL
        killed_with_loans += sum(take_back(broker, name) > 0 for name in names)
    with child(lambda: work(url, "last", until_empty=True)) as last:
        assert last.join() == 0
    done = reported(broker)
    assert Counter(done) == Counter(one.id for one in sent)
    assert all(backend.load(one.id).status == SUCCESS for one in random.sample(sent, 200))
    assert broker.admin.dead_count() == 0
    assert [(one.ready, one.lent) for one in broker.admin.queues(["work"])] == [(0, 0)]
    assert integrity(broker) == [("ok",)]
    assert killed_with_loans >= 3, "the kills came too early or too late to prove anything"


def test_what_a_killed_producer_was_told_is_kept_is_kept(url, broker):
    told = []
    for number in range(ROUNDS):
        readable, writable = os.pipe()

        def produce(number=number, end=writable):
            own = SqlBroker(url)
            for count in range(100_000):
                batch = [
                    message("told", id=f"{number}-{count}-{place}", queue="told")
                    for place in range(random.choice((1, 1, 3, 40)))
                ]
                own.publish(batch)
                os.write(end, "".join(f"{one.id}\n" for one in batch).encode())

        with child(produce) as producer:
            os.close(writable)
            with os.fdopen(readable, "rb", buffering=0) as pipe:
                data = pipe.read(1)
                time.sleep(random.uniform(0.0, 0.03))
                producer.kill()
                data += pipe.read()
        told += data.decode().split()
    waiting = Counter()
    while purged := broker.admin.purge("told"):
        waiting.update(ids(purged))
    assert set(told) <= set(waiting)
    assert set(waiting.values()) == {1}
    assert integrity(broker) == [("ok",)]


def test_a_worker_that_was_frozen_cannot_overwrite_the_second_run(url, broker, backend):
    sent = message("work", queue="work")
    broker.publish([sent])
    readable, writable = os.pipe()

    def freeze():
        own, store = SqlBroker(url), SqlBackend(url)
        consumer = own.consume(["work"], "frozen", store)
        (delivery,) = receive(consumer)
        os.write(writable, b"taken")
        os.kill(os.getpid(), signal.SIGSTOP)
        late = Settlement(
            delivery=delivery,
            verdict=Verdict.ACK,
            record=record(sent.id, SUCCESS, "first run"),
            publish=(message("next", queue="next"),),
        )
        assert consumer.exchange([late], 5).refused == [late]
        assert consumer.id != "frozen"

    with child(freeze) as frozen:
        assert os.read(readable, 5) == b"taken"
        os.waitpid(frozen.pid, os.WUNTRACED)
        assert take_back(broker, "frozen") == 1
        living = broker.consume(["work"], "living", backend)
        (delivery,) = receive(living)
        assert message_of(delivery).deliveries == 1
        kept = record(sent.id, SUCCESS, "second run")
        living.exchange([Settlement(delivery=delivery, verdict=Verdict.ACK, record=kept)], 0)
        living.close()
        frozen.signal(signal.SIGCONT)
        assert frozen.join() == 0
    os.close(readable)
    os.close(writable)
    assert backend.load(sent.id).result == "second run"
    assert broker.admin.purge("next") == []


def test_a_busy_consumer_that_was_declared_dead_takes_nothing_under_its_old_name(broker):
    broker.publish(messages(2, queue="work"))
    fenced = broker.consume(["work"], "fenced")
    (first,) = receive(fenced)
    heir = broker.adopt("fenced")
    exchange = fenced.exchange([Settlement(delivery=first, verdict=Verdict.ACK)], 1)
    assert exchange.refused == []
    assert len(exchange.deliveries) == 1
    assert fenced.id != "fenced"
    assert heir.lent() == []
    heir.close()
    assert ids(fenced.lent()) == ids(exchange.deliveries)
    fenced.close()


def test_a_consumer_that_comes_back_under_its_id_starts_with_nothing(broker):
    """A process with a fixed name that was killed and started again before anybody noticed."""
    broker.publish(sent := messages(3, queue="work"))
    before = broker.consume(["work"], "fixed")
    old = receive(before, 2)
    after = broker.consume(["work"], "fixed")
    assert after.lent() == []
    new = receive(after, 3)
    assert ids(new) == ids(sent)
    late = [Settlement(delivery=one, verdict=Verdict.ACK) for one in old]
    assert before.exchange(late, 1).refused == late
    assert (before.id, after.id) != ("fixed", before.id)
    assert ids(after.lent()) == ids(sent)
    after.close()
    before.close()


class Interruption(BaseException):
    """Comes from outside, at any moment."""


@pytest.fixture
def interruptions():
    """Raise ``Interruption`` in the middle of exchanges, again and again."""
    seen = []

    def interrupt(_number, frame):
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0001, 0.0015))
        while frame is not None:
            if frame.f_code.co_name == "__del__":
                return  # of garbage, by chance: what it raises reaches nobody
            if frame.f_code.co_name == "exchange":
                seen.append(frame)
                raise Interruption
            frame = frame.f_back

    gc.collect()
    gc.disable()  # garbage of other tests is not to be cleared away in the middle of an exchange
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    yield seen
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
    gc.enable()


def test_an_exchange_that_was_interrupted_is_repeated_without_loss(broker, backend, interruptions):
    sent = messages(400, "work", queue="work")
    broker.publish(sent, timeout=30)
    consumer = broker.consume(["work"], "interrupted", backend)
    settlements, seen = [], Counter()
    deadline = time.monotonic() + 60
    while sum(seen.values()) < len(sent) or settlements:
        assert time.monotonic() < deadline
        try:
            exchange = consumer.exchange(settlements, 7)
        except Interruption:
            continue
        assert exchange.refused == []
        seen.update(ids(exchange.deliveries))
        settlements = [
            Settlement(
                delivery=one,
                verdict=Verdict.ACK,
                record=record(message_of(one).id, SUCCESS, 1),
                publish=(message("done", queue="done", headers={"about": message_of(one).id}),),
            )
            for one in exchange.deliveries
        ]
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert Counter(ids(sent)) == seen
    assert Counter(reported(broker)) == seen
    assert consumer.lent() == []
    assert len(interruptions) > 20
    consumer.close()
