"""Sends callbacks (``link``) and calls errbacks (``link_error``) of a job that has ended.

What is sent travels with the settlement: the broker keeps it in the step that ends the loan. Part of
the pipeline only for jobs whose messages name any; how it is done is ``app/linking.py``.
"""

from __future__ import annotations

import logging

from msgspec.structs import replace

from umbel import states
from umbel.app.linking import call_errbacks, send_callbacks
from umbel.exceptions import Reject
from umbel.worker.job import Job, Outcome
from umbel.worker.links import Following
from umbel.worker.middleware.base import Middleware

__all__ = ["Links"]

logger = logging.getLogger("umbel.worker")


class Links(Middleware):
    """Stands before ``Remember``: by then it is known whether the result can be kept."""

    linked_only = True

    def settle(self, job: Job, outcome: Outcome) -> Outcome:
        following = Following(job.message)
        app = job.task.app
        if job.embed.get("chain") or job.embed.get("chord"):
            logger.error(
                "Task %s[%s] is part of a workflow (chain or chord), with which this version of Umbel does "
                "not go on",
                job.message.task,
                job.message.id,
            )
        with job.task.requested(job.context):
            if outcome.state == states.SUCCESS:
                send_callbacks(app, job.context, outcome.value, following.send)
            elif _failed(outcome) and outcome.error is not None:
                how = outcome.traceback
                call_errbacks(app, job.context, outcome.error, how, send=following.send)
        outcome.following = following.messages()
        if outcome.state == states.SUCCESS and outcome.record is not None:
            # Errbacks are no children: as with Celery, the record is made before them.
            children = [child.as_tuple() for child in job.context.children]
            outcome.record = replace(outcome.record, children=children)
        return outcome


def _failed(outcome: Outcome) -> bool:
    """Also where the task refused its message for good."""
    refused = outcome.state == states.REJECTED and isinstance(outcome.error, Reject)
    return outcome.state == states.FAILURE or (refused and not outcome.error.requeue)  # type: ignore[union-attr]
