"""Sends callbacks (``link``) and calls errbacks (``link_error``) of a job that has ended.

What is sent travels with the settlement: the broker keeps it in the step that ends the loan. Part of
the pipeline only for jobs whose messages name any; how it is done is ``app/linking.py``.
"""

from __future__ import annotations

from msgspec.structs import replace

from umbel import states
from umbel.app.linking import call_errbacks, send_callbacks
from umbel.exceptions import Reject
from umbel.worker.job import Job, Outcome
from umbel.worker.links import Following
from umbel.worker.middleware.base import Middleware

__all__ = ["Links"]


class Links(Middleware):
    """Stands before ``Remember``: by then it is known whether the result can be kept."""

    linked_only = True

    def settle(self, job: Job, outcome: Outcome) -> Outcome:
        following = Following(job.message)
        with job.task.requested(job.context):
            if outcome.state == states.SUCCESS:
                send_callbacks(job.task, job.context, outcome.value, following.send)
            elif _failed(outcome) and outcome.error is not None:
                how = outcome.traceback
                call_errbacks(job.task, job.context, outcome.error, how, send=following.send)
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
