"""What remains of jobs that were acknowledged before they ran."""

import pytest

from umbel.backends.memory import MemoryBackend
from umbel.brokers.base import Delivery, Settlement, Verdict
from umbel.brokers.memory import MemoryBroker
from umbel.exceptions import MessageTooLarge, OperationalError
from umbel.states import FAILURE, RETRY, SUCCESS
from umbel.testing.messages import message, record
from umbel.worker.aftermath import Aftermath
from umbel.worker.board import Board

[SLOT] = Board(1).places[0].slots


@pytest.fixture
def records():
    return MemoryBackend("memory://aftermath")


@pytest.fixture
def broker():
    return MemoryBroker("memory://aftermath", max_message_size=2000)


def left(state, **of_settlement):
    sent = message("add", (1, 2))
    delivery = Delivery(loan="c/1", queue="celery", raw=b"", message=sent)
    kept = record(sent.id, state, result=3)
    return Settlement(delivery=delivery, verdict=Verdict.ACK, record=kept, **of_settlement)


def test_the_result_is_stored(broker, records):
    aftermath = Aftermath(broker, records)
    SLOT.acknowledge("one")
    aftermath.add(SLOT, one := left(SUCCESS))

    assert aftermath.settle_next()
    assert records.load(one.record.task_id).status == SUCCESS
    assert not aftermath
    assert not SLOT.acknowledged, "its process may die now"
    assert not aftermath.settle_next()


def test_the_next_run_is_sent(broker, records):
    aftermath = Aftermath(broker, records)
    again = message("add", (1, 2))
    aftermath.add(SLOT, left(RETRY, publish=(again,)))
    aftermath.settle_next()

    assert broker.admin.locate(again.id) is not None


def test_what_cannot_be_stored_now_is_stored_later(broker, records):
    class Away:
        def store_many(self, _records):
            raise OperationalError("away")

    aftermath = Aftermath(broker, Away())
    aftermath.add(SLOT, one := left(SUCCESS))
    with pytest.raises(OperationalError):
        aftermath.settle_next()
    aftermath.records = records

    assert aftermath.settle_next()
    assert records.load(one.record.task_id).status == SUCCESS


def test_a_next_run_that_can_never_be_sent_is_a_failure_of_the_task(broker, records, caplog):
    aftermath = Aftermath(broker, records)
    aftermath.add(SLOT, one := left(RETRY, publish=(message(body=bytes(5000)),)))

    assert aftermath.settle_next()
    kept = records.load(one.record.task_id)
    assert kept.status == FAILURE
    assert MessageTooLarge.__name__ in kept.traceback
    assert one.record.task_id in caplog.text
