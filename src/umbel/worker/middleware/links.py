"""Sends callbacks (``link``) and calls errbacks (``link_error``) of a job that has ended.

What is sent travels with the settlement: the broker keeps it in the step that ends the loan. Part of
the pipeline only for jobs whose messages name any; how it is done is ``app/linking.py``.
"""

from __future__ import annotations

import logging
from typing import Any

from msgspec.structs import replace

from umbel import states
from umbel.app.linking import call_errbacks, send_callbacks
from umbel.app.outbox import Outbox, collecting
from umbel.canvas.signature import Signature
from umbel.exceptions import EncodeError, Reject
from umbel.message.message import Message
from umbel.message.protocol import encode
from umbel.worker.job import Job, Outcome
from umbel.worker.middleware.base import Middleware

__all__ = ["Links"]

logger = logging.getLogger("umbel.worker")


class Links(Middleware):
    """Stands before ``Remember``: by then it is known whether the result can be kept."""

    linked_only = True

    def settle(self, job: Job, outcome: Outcome) -> Outcome:
        outbox = Outbox()

        def send(signature: Signature, args: tuple[Any, ...], **options: Any) -> None:
            with collecting(outbox):
                signature.apply_async(args, **options)

        with job.task.requested(job.context):
            if outcome.state == states.SUCCESS:
                send_callbacks(job.task, job.context, outcome.value, send)
            elif _failed(outcome) and outcome.error is not None:
                call_errbacks(job.task, job.context, outcome.error, outcome.traceback, send)
        outcome.following = written(outbox, job.message)
        if outcome.following and outcome.record is not None:
            children = [child.as_tuple() for child in job.context.children]
            outcome.record = replace(outcome.record, children=children)
        return outcome


def _failed(outcome: Outcome) -> bool:
    if outcome.state == states.REJECTED:
        return isinstance(outcome.error, Reject) and not outcome.error.requeue
    return outcome.state == states.FAILURE


def written(outbox: Outbox, cause: Message) -> tuple[Message, ...]:
    """The messages, each as it will lie on its queue; one that cannot be written is reported, and
    does not keep the others or the result."""
    messages = []
    for message in outbox.take():
        try:
            messages.append(replace(message, written=encode(message)))
        except EncodeError:
            logger.exception("%s, which follows task %s, could not be sent", message.task, cause.id)
    return tuple(messages)
