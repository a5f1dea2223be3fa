"""Lends messages of the queues to one process, and ends the loans: one script call for both.

The order of events is what keeps messages safe. A message leaves its list and enters the loans of
this consumer in one step, under a fence that only this connection holds; it leaves the loans
together with its result. When a connection breaks, the next exchange takes the fence anew (which
shuts out whatever of the old connection still travels) and compares what the server lent with what
arrived here. Deciding about messages is the worker's business.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Collection, Sequence
from time import monotonic
from typing import Any, Final

import msgspec

from umbel.brokers.base import Consumer, Delivery, Exchange, RecordStore, Settlement, Verdict
from umbel.brokers.redis.calls import TRACKING, Calls
from umbel.brokers.redis.lists import Info, QueueLists, sorted_by_age
from umbel.brokers.redis.settling import JoinedStore, Rules, Step
from umbel.brokers.redis.waiting import Waiting
from umbel.drivers.redis import Address, Link
from umbel.exceptions import OperationalError

__all__ = ["RedisConsumer"]

logger = logging.getLogger("umbel.broker")

#: Bounds one script call, and with it the time for which the server is busy with it.
_AT_ONCE: Final = 1000
#: Loans that ended in an interrupted exchange, in case their settlements are repeated.
_REMEMBERED: Final = 10_000
#: Seconds until the same problem with taking messages is told again.
_COMPLAIN_EVERY: Final = 60.0


class RedisConsumer(Consumer):
    """Registers when it is made, except for an heir (``inherited``: the info of the dead)."""

    def __init__(
        self,
        *,
        address: Address,
        rules: Rules,
        queues: Sequence[str],
        consumer_id: str,
        records: RecordStore | None,
        joined: bool,
        inherited: Info | None = None,
    ) -> None:
        self.id = consumer_id
        self._given_id = consumer_id
        self._rules = rules
        self._heir = inherited is not None
        self._lists = QueueLists(rules.keys, queues, inherited.levels if inherited else None)
        self._records = records
        self._joined = records if joined and isinstance(records, JoinedStore) else None
        self._waiting = Waiting()
        self._link = Link(address, on_push=self._waiting.note_push, setup=(TRACKING,))
        self._calls = Calls(self._link, rules, self._lists, self._joined, heir=self._heir)
        #: The queue that is served first next time.
        self._turn = 0
        #: Loans under the present id that arrived here.
        self._held: set[str] = set()
        #: Loans that the server had lent when the answer was lost.
        self._lost: deque[Delivery] = deque()
        #: Of an exchange that broke off: whether they were done is not known yet.
        self._unsure: dict[str, Settlement] = {}
        #: Of these, the loans that turned out to have ended.
        self._done: set[str] = set()
        #: How often tasks were revoked, as of the last exchange.
        self._revocations = 0
        self._broken = False
        self._closed = False
        self._complain_at: dict[str, float] = {}
        if not self._heir:
            self._sign_in()

    # Consumer -------------------------------------------------------------------------------------

    def exchange(self, settlements: Sequence[Settlement], limit: int) -> Exchange:
        self._repair()
        pending = self._pending(settlements)
        refused: list[Settlement] = []
        found_again = min(len(self._lost), limit)
        try:
            own = self._settle_former(pending, refused)
            while len(own) > _AT_ONCE:
                self._exchange(self.id, own[:_AT_ONCE], 0, refused)
                own = own[_AT_ONCE:]
            room = min(limit - found_again, _AT_ONCE)
            arrived, parked = self._exchange(self.id, own, room, refused)
        except BaseException:  # also of a signal handler, in the middle of it
            self._unsure.update((one.delivery.loan, one) for one in reversed(pending))
            self._broken = True
            raise
        self._done.difference_update([one.delivery.loan for one in settlements])
        again = [self._lost.popleft() for _ in range(min(found_again, len(self._lost)))]
        self._note_held(again)
        return Exchange(again + arrived, refused, parked, self._revocations)

    def wait(self, timeout: float, fds: Collection[int] = ()) -> None:
        try:
            self._waiting.until(self._link, self._calls.watch, timeout, fds, bool(self._lost))
        except OperationalError:
            self._broken = True
            raise

    def unpark(self, tasks: Collection[str], limit: int) -> list[Delivery]:
        if limit <= 0 or not tasks:
            return []
        self._repair()
        try:
            members = self._members_for(tasks)
            answer = self._calls.unpark(self.id, members, limit) if members else []
            given = {answer[at].decode(): answer[at + 1] for at in range(1, len(answer), 2)}
            found = [self._lists.delivery(self.id, *one) for one in given.items()]
            self._held.update(given)
        except BaseException:  # also of a signal handler, as in an exchange
            self._broken = True
            raise
        self._waiting.note_exchange(0, 0, -1)
        return found

    def lent(self) -> list[Delivery]:
        self._repair()
        raws = self._calls.loans(self.id)
        return [self._lists.delivery(self.id, field, raws[field]) for field in sorted_by_age(raws)]

    def close(self) -> None:
        if self._closed:
            return
        try:
            self._give_back()
            self._calls.sign_off(self.id)
            self._closed = True
        finally:
            self._link.close()

    # Registering ----------------------------------------------------------------------------------

    def _sign_in(self) -> None:
        """Become known under this id, or where that is taken, under one made from it."""
        while self._calls.register(self.id, "new")[0] != b"ok":
            self.id = self._another_id()
        self._held.clear()
        self._lost.clear()
        self._broken = False
        self._rules.known_queues.update(self._lists.queues)

    def _sign_in_anew(self) -> None:
        """Declared dead, or unknown to a server that lost everything: what we held is theirs."""
        old, self.id = self.id, self._another_id()
        self._sign_in()
        logger.warning(
            "%s had given up the consumer %s; it goes on as %s",
            self._link.address.url,
            old,
            self.id,
        )

    def _another_id(self) -> str:
        return f"{self._given_id}~{os.urandom(4).hex()}"

    def _repair(self) -> None:
        """After a broken connection: find out what the server did."""
        if not self._broken:
            return
        self._link.close()
        if self._heir:
            there = self._calls.loans(self.id)
            self._compare(there)
        else:
            answer = self._calls.register(self.id, "again")
            if answer[0] == b"ok":
                pairs = zip(answer[1::2], answer[2::2], strict=True)
                self._compare({field.decode(): raw for field, raw in pairs})
            else:
                self._sign_in_anew()
        self._waiting.note_change()
        self._broken = False

    def _compare(self, there: dict[str, bytes]) -> None:
        """The fence was ours until now, so whatever is gone, we have settled."""
        head = f"{self.id}/"
        if len(self._done) > _REMEMBERED:  # of callers that do not repeat what was interrupted
            self._done.clear()
        for loan in self._unsure:
            if loan.startswith(head) and loan[len(head) :] not in there:
                self._done.add(loan)
                self._held.discard(loan[len(head) :])
        if not self._heir:
            unknown = sorted_by_age(there.keys() - self._held)
            self._lost = deque(self._lists.delivery(self.id, one, there[one]) for one in unknown)

    # Settling -------------------------------------------------------------------------------------

    def _pending(self, settlements: Sequence[Settlement]) -> list[Settlement]:
        """What is to be sent: these, and what an interrupted exchange left open."""
        if not self._unsure and not self._done:
            return list(settlements)
        given = {one.delivery.loan for one in settlements}
        pending = [one for loan, one in self._unsure.items() if loan not in given]
        pending = [one for one in (*pending, *settlements) if one.delivery.loan not in self._done]
        self._unsure.clear()
        return pending

    def _settle_former(
        self, settlements: list[Settlement], refused: list[Settlement]
    ) -> list[Settlement]:
        """Settle loans under ids that this consumer had before, in a call for each id; returns the
        settlements of the present id."""
        head = f"{self.id}/"
        own = [one for one in settlements if one.delivery.loan.startswith(head)]
        if len(own) == len(settlements):
            return own
        former: dict[str, list[Settlement]] = {}
        for one in settlements:
            owner = one.delivery.loan.rpartition("/")[0]
            if owner != self.id:
                former.setdefault(owner, []).append(one)
        for owner, theirs in former.items():
            self._exchange(owner, theirs, 0, refused)
        return own

    def _exchange(
        self, owner: str, settlements: list[Settlement], limit: int, refused: list[Settlement]
    ) -> tuple[list[Delivery], bool]:
        step = Step(self._rules, self._lists, self._joined)
        refused += step.add_all(settlements, len(owner) + 1)
        if step.apart and self._records is not None:
            held = self._calls.held(owner, list(step.apart))  # a refused one overwrites nothing
            if held:
                self._records.store_many([step.apart[field] for field in held])
        prefix, answer = self._calls.exchange(owner, step, limit, self._turn)
        if answer[0] == b"stale":
            refused += step.settlements
        else:
            refused += [step.settlements[number - 1] for number in answer[1]]
            self._report(step, answer[2], refused)
        if owner != self.id or self._heir:
            return [], False
        if answer[0] != b"ok":
            self._sign_in_anew()
            return self._exchange(self.id, [], limit, refused)
        self._held.difference_update(step.loans)
        self._revocations = int(answer[7])
        return self._arrived(answer, limit, prefix), bool(answer[4])

    def _arrived(self, answer: list[Any], limit: int, prefix: str) -> list[Delivery]:
        runs, raws = answer[5], answer[6]
        self._waiting.note_exchange(limit, len(raws), answer[3])
        self._link.take_pushed(read=False)
        if not raws:
            return []
        self._turn = (runs[-2] + 1) % len(self._lists.queues)
        deliveries = self._lists.deliveries(self.id, prefix, runs, raws)
        self._note_held(deliveries)
        return deliveries

    def _note_held(self, deliveries: list[Delivery]) -> None:
        cut = len(self.id) + 1
        self._held.update([one.loan[cut:] for one in deliveries])

    def _report(self, step: Step, problems: list[Any], refused: list[Settlement]) -> None:
        """A key that holds something else: the loan goes on, and somebody has to know."""
        for at in range(0, len(problems), 2):
            number, text = problems[at], problems[at + 1].decode(errors="replace")
            if number == 0:
                self._complain(text)
                continue
            settlement = step.settlements[number - 1]
            logger.error("Cannot settle the loan %s: %s", settlement.delivery.loan, text)
            refused.append(settlement)
            step.loans.remove(settlement.delivery.loan.rpartition("/")[2])

    def _complain(self, text: str) -> None:
        """Of what stays as it is until somebody mends it: now and then is enough."""
        now = monotonic()
        if now >= self._complain_at.get(text, 0.0):
            self._complain_at[text] = now + _COMPLAIN_EVERY
            logger.error("Cannot take messages from %s: %s", self._link.address.url, text)

    # Parked messages, and leaving -----------------------------------------------------------------

    def _members_for(self, tasks: Collection[str]) -> list[tuple[str, int]]:
        """Members of the parked set for these tasks and our queues, with the numbers of these."""
        queues = self._lists.queues
        found: list[tuple[str, int]] = []
        for raw in self._calls.parked():
            task, queue = msgspec.json.decode(raw)
            if task in tasks and queue in queues:
                found.append((raw.decode(), queues.index(queue)))
        return sorted(found)

    def _give_back(self) -> None:
        if self._broken:
            self.exchange([], 0)  # what had been settled when the connection broke stays settled
        while left := self.lent():
            back = [Settlement(delivery=one, verdict=Verdict.RELEASE) for one in left]
            if self.exchange(back, 0).refused:
                return
