"""Chapter six: the loans of a dead consumer are taken back by the living, each exactly once."""

# ruff: noqa: PLR2004 - numbers in a test stand where they are compared
from __future__ import annotations

import os
from collections import Counter

import pytest

from umbel.backends.base import ResultBackend
from umbel.brokers.base import Broker, Consumer, Delivery, Settlement, Verdict
from umbel.states import FAILURE
from umbel.testing.conformance.kind import BrokerKind, Consume
from umbel.testing.conformance.steps import (
    ForeignStore,
    ack,
    eventually,
    fork,
    ids,
    leave_after,
    message_of,
    receive,
    release,
    settle,
    together,
)
from umbel.testing.messages import message, messages, record

__all__ = ["RescueChapter"]

#: Seconds of silence that the tests call death.
SILENCE = 0.05


class RescueChapter(BrokerKind):
    """beat, silent, adopt."""

    # Living ---------------------------------------------------------------------------------------

    def test_a_registered_consumer_is_known(self, second_broker: Broker, consume: Consume) -> None:
        consumer = consume(id="worker-1")
        assert consumer.id == "worker-1"
        assert second_broker.beat([consumer.id]) == []
        assert second_broker.silent(30.0) == {}

    def test_beating_for_unknown_consumers_names_them(
        self, broker: Broker, consume: Consume
    ) -> None:
        known = consume().id
        assert broker.beat([]) == []
        assert sorted(broker.beat(["nobody", known, "ghost"])) == ["ghost", "nobody"]

    def test_beating_for_an_unknown_consumer_does_not_make_it_known(self, broker: Broker) -> None:
        broker.beat(["ghost"])
        assert broker.beat(["ghost"]) == ["ghost"]
        assert broker.silent(0.0) == {}

    def test_a_consumer_that_signed_off_is_unknown(self, broker: Broker, consume: Consume) -> None:
        consumer = consume()
        consumer.close()
        assert broker.beat([consumer.id]) == [consumer.id]
        assert broker.silent(0.0) == {}

    def test_a_consumer_that_does_not_beat_becomes_silent(
        self, broker: Broker, second_broker: Broker, consume: Consume
    ) -> None:
        quiet, lively = consume(), consume()

        def found() -> bool:
            broker.beat([lively.id])
            return quiet.id in second_broker.silent(SILENCE)

        eventually(found)
        assert set(second_broker.silent(30.0)) == set()

    def test_the_value_of_a_silent_consumer_changes_when_it_beats_again(
        self, broker: Broker, second_broker: Broker, consume: Consume
    ) -> None:
        consumer = consume()
        before = eventually(lambda: second_broker.silent(SILENCE)).get(consumer.id)
        assert second_broker.silent(SILENCE)[consumer.id] == before
        assert broker.beat([consumer.id]) == []
        after = eventually(lambda: second_broker.silent(SILENCE)).get(consumer.id)
        assert before is not None
        assert before != after

    def test_silence_alone_ends_no_loan(
        self, broker: Broker, second_broker: Broker, consume: Consume
    ) -> None:
        consumer, other = consume(), consume(on=second_broker)
        broker.publish([message()])
        deliveries = receive(consumer)
        eventually(lambda: consumer.id in second_broker.silent(SILENCE))
        assert other.exchange([], 10).deliveries == []
        ack(consumer, *deliveries)

    # Adopted --------------------------------------------------------------------------------------

    def test_the_loans_of_an_adopted_consumer_can_be_settled_by_another(
        self, broker: Broker, second_broker: Broker, consume: Consume
    ) -> None:
        dead, living = consume(), consume(on=second_broker)
        sent = messages(4)
        broker.publish(sent)
        receive(dead, 4)
        heir = second_broker.adopt(dead.id)
        loans = {message_of(loan).id: loan for loan in heir.lent()}
        assert set(loans) == set(ids(sent))
        ack(heir, loans[sent[0].id])
        release(heir, loans[sent[1].id], counted=True)
        settle(heir, Verdict.REJECT, loans[sent[2].id], reason="WorkerLostError")
        heir.close()
        received = receive(living, 2)
        assert {message_of(one).id: message_of(one).deliveries for one in received} == {
            sent[1].id: 1,
            sent[3].id: 0,
        }
        assert [letter.id for letter in broker.admin.dead()] == [sent[2].id]

    def test_results_of_adopted_loans_are_kept(
        self, broker: Broker, second_broker: Broker, consume: Consume
    ) -> None:
        dead = consume()
        sent = message()
        broker.publish([sent])
        receive(dead)
        store = ForeignStore()
        heir = second_broker.adopt(dead.id, store)
        settle(heir, Verdict.REJECT, *heir.lent(), reason="lost", record=record(sent.id, FAILURE))
        heir.close()
        assert store.records[sent.id].status == FAILURE

    def test_results_of_adopted_loans_are_kept_with_a_joined_backend(
        self,
        broker: Broker,
        second_broker: Broker,
        consume: Consume,
        joined_backend: ResultBackend,
    ) -> None:
        dead = consume(records=joined_backend)
        sent = message()
        broker.publish([sent])
        deliveries = receive(dead)
        heir = second_broker.adopt(dead.id, joined_backend)
        ack(heir, *heir.lent(), record=record(sent.id, result="of the heir"))
        settle(dead, Verdict.ACK, *deliveries, record=record(sent.id, result="of the dead"))
        heir.close()
        found = joined_backend.load(sent.id)
        assert found is not None
        assert found.result == "of the heir"

    def test_closing_an_adopted_consumer_gives_the_rest_back_in_order(
        self, broker: Broker, second_broker: Broker, consume: Consume
    ) -> None:
        dead, living = consume(), consume(on=second_broker)
        sent = messages(4)
        broker.publish(sent)
        receive(dead, 3)
        second_broker.adopt(dead.id).close()
        received = receive(living, 4)
        assert ids(received) == ids(sent)
        assert [message_of(one).deliveries for one in received] == [0, 0, 0, 0]

    def test_an_adopted_consumer_is_not_revived_by_beating(
        self, broker: Broker, second_broker: Broker, consume: Consume
    ) -> None:
        dead = consume()
        heir = second_broker.adopt(dead.id)
        assert broker.beat([dead.id]) == [dead.id]
        heir.close()
        assert broker.beat([dead.id]) == [dead.id]

    def test_closing_an_adopted_consumer_signs_the_dead_one_off(
        self, second_broker: Broker, consume: Consume
    ) -> None:
        dead = consume()
        eventually(lambda: dead.id in second_broker.silent(SILENCE))
        second_broker.adopt(dead.id).close()
        assert dead.id not in second_broker.silent(SILENCE)

    def test_adopting_a_consumer_that_has_been_signed_off_finds_nothing(
        self, broker: Broker, second_broker: Broker, consume: Consume
    ) -> None:
        dead = consume()
        broker.publish([message()])
        receive(dead)
        broker.adopt(dead.id).close()
        late = second_broker.adopt(dead.id)
        assert late.lent() == []
        late.close()
        assert second_broker.silent(0.0) == {}

    def test_a_rescue_that_was_interrupted_is_found_and_finished_by_another(
        self, broker: Broker, second_broker: Broker, consume: Consume
    ) -> None:
        dead, living = consume(), consume()
        sent = messages(3)
        broker.publish(sent)
        receive(dead, 3)
        first = broker.adopt(dead.id)
        ack(first, next(loan for loan in first.lent() if ids([loan]) == [sent[0].id]))

        def found() -> bool:
            broker.beat([living.id])
            return dead.id in second_broker.silent(SILENCE)

        eventually(found)
        second = second_broker.adopt(dead.id)
        assert sorted(ids(second.lent())) == sorted(ids(sent[1:]))
        second.close()
        assert ids(receive(living, 2)) == ids(sent[1:])
        first.close()
        assert living.exchange([], 10).deliveries == []

    def test_two_rescuers_at_once_give_each_message_back_once(
        self, broker: Broker, second_broker: Broker, consume: Consume
    ) -> None:
        dead, living = consume(), consume()
        sent = messages(50)
        broker.publish(sent)
        receive(dead, 50)

        def rescue(owner: Broker) -> None:
            heir = owner.adopt(dead.id)
            for loan in heir.lent():
                settle(heir, Verdict.RELEASE, loan, counted=True)
            heir.close()

        together(lambda: rescue(broker), lambda: rescue(second_broker))
        received = receive(living, 50)
        assert Counter(ids(received)) == Counter(ids(sent))
        assert living.exchange([], 10).deliveries == []
        assert all(message_of(one).deliveries <= 1 for one in received)

    # Fenced ---------------------------------------------------------------------------------------

    def test_what_the_heir_settled_first_is_refused_to_the_dead(
        self, broker: Broker, second_broker: Broker, consume: Consume
    ) -> None:
        dead = consume()
        broker.publish([message()])
        deliveries = receive(dead)
        heir = second_broker.adopt(dead.id)
        ack(heir, *heir.lent())
        refused = settle(dead, Verdict.RELEASE, *deliveries).refused
        assert [one.delivery for one in refused] == deliveries
        heir.close()
        assert len(settle(dead, Verdict.RELEASE, *deliveries).refused) == 1
        assert consume().exchange([], 10).deliveries == []

    def test_what_the_dead_settled_first_is_refused_to_the_heir(
        self, broker: Broker, second_broker: Broker, consume: Consume
    ) -> None:
        dead = consume()
        broker.publish(messages(2))
        first, second = receive(dead, 2)
        heir = second_broker.adopt(dead.id)
        loans = heir.lent()
        ack(dead, first)
        refused = settle(heir, Verdict.RELEASE, *loans, counted=True).refused
        assert ids(one.delivery for one in refused) == ids([first])
        heir.close()
        received = receive(consume())
        assert ids(received) == ids([second])
        assert message_of(received[0]).deliveries == 1

    def test_a_loan_given_back_by_rescue_is_refused_to_the_dead(
        self, broker: Broker, second_broker: Broker, consume: Consume
    ) -> None:
        dead, living = consume(), consume(on=second_broker)
        broker.publish([message()])
        (old,) = receive(dead)
        second_broker.adopt(dead.id).close()
        (new,) = receive(living)
        assert len(settle(dead, Verdict.ACK, old).refused) == 1
        ack(living, new)

    def test_results_and_messages_of_a_refused_settlement_are_not_kept(
        self,
        broker: Broker,
        second_broker: Broker,
        consume: Consume,
        joined_backend: ResultBackend,
    ) -> None:
        dead = consume(records=joined_backend)
        living = consume(on=second_broker, records=joined_backend)
        sent = message()
        broker.publish([sent])
        (old,) = receive(dead)
        second_broker.adopt(dead.id).close()
        ack(living, *receive(living), record=record(sent.id, result="second run"))
        late = Settlement(
            delivery=old,
            verdict=Verdict.ACK,
            record=record(sent.id, result="first run"),
            publish=(message("next"),),
        )
        assert dead.exchange([late], 10).refused == [late]
        found = joined_backend.load(sent.id)
        assert found is not None
        assert found.result == "second run"
        assert living.exchange([], 10).deliveries == []

    def test_a_refused_settlement_overwrites_no_result_in_another_store(
        self, broker: Broker, second_broker: Broker, consume: Consume
    ) -> None:
        store = ForeignStore()
        dead, living = consume(records=store), consume(on=second_broker, records=store)
        first, second = messages(2)
        broker.publish([first, second])
        old, held = receive(dead, 2)
        heir = second_broker.adopt(dead.id, store)
        release(heir, next(one for one in heir.lent() if ids([one]) == [first.id]))
        ack(living, *receive(living), record=record(first.id, result="second run"))
        settlements = [
            Settlement(delivery=old, verdict=Verdict.ACK, record=record(first.id, result="late")),
            Settlement(delivery=held, verdict=Verdict.ACK, record=record(second.id, result="kept")),
        ]
        assert dead.exchange(settlements, 0).refused == settlements[:1]
        assert store.records[first.id].result == "second run"
        assert store.records[second.id].result == "kept"
        heir.close()

    @pytest.mark.parametrize("finished", [True, False], ids=["signed off", "being rescued"])
    def test_a_fenced_consumer_registers_anew_and_keeps_working(
        self, broker: Broker, second_broker: Broker, consume: Consume, finished: bool
    ) -> None:
        fenced = consume()
        old_id = fenced.id
        heir = second_broker.adopt(old_id)
        if finished:
            heir.close()
        fenced.exchange([], 0)
        sent = messages(3)
        broker.publish(sent)
        deliveries = receive(fenced, 3)
        assert ids(deliveries) == ids(sent)
        assert fenced.id != old_id
        assert broker.beat([fenced.id, old_id]) == [old_id]
        heir.close()
        assert sorted(ids(fenced.lent())) == sorted(ids(sent))
        ack(fenced, *deliveries)

    def test_a_fenced_consumer_receives_in_the_exchange_that_finds_out(
        self, broker: Broker, second_broker: Broker, consume: Consume
    ) -> None:
        fenced = consume()
        broker.publish(messages(2))
        (old,) = receive(fenced)
        second_broker.adopt(fenced.id).close()
        settlement = Settlement(delivery=old, verdict=Verdict.ACK)
        exchange = fenced.exchange([settlement], 2)
        assert exchange.refused == [settlement]
        arrived: list[Delivery] = [*exchange.deliveries]
        arrived += receive(fenced, 2 - len(arrived))
        assert len({one.loan for one in arrived} | {old.loan}) == 3

    # Other processes ------------------------------------------------------------------------------

    def test_a_broker_goes_on_in_a_forked_child_and_in_its_parent(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        if not self.crosses_processes:
            pytest.skip("the store of this kind lives in one process")
        broker.publish([message("before the fork")])
        child = fork()
        if child == 0:
            leave_after(lambda: broker.publish([message("in the child")]))
        broker.publish([message("in the parent")])
        arrived = receive(consumer, 3)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert {message_of(one).task for one in arrived} == {
            "before the fork",
            "in the child",
            "in the parent",
        }
        ack(consumer, *arrived)
