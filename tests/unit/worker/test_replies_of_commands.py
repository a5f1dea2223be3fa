"""A command of the project whose reply cannot travel: who asked is told, and does not wait in vain."""

from __future__ import annotations

import logging
from contextlib import closing

import pytest

from umbel.app.deployment import worker_values
from umbel.brokers.bus import Notice
from umbel.events.emitter import Emitter
from umbel.remote import inspect_command
from umbel.worker.commands.registry import COMMANDS
from umbel.worker.options import WorkerOptions
from umbel.worker.worker import Worker


@pytest.fixture
def asked(app):
    """``asked(method)``: what a solo node that does not run replies."""

    def ask(method):
        values = worker_values(app, pool="solo", hostname="node@here")
        remote = Worker(WorkerOptions(**values), Emitter()).remote
        with closing(remote.bus.open_mailbox("reply.celery.pidbox/me")) as mailbox:
            reply_to = {"exchange": "reply.celery.pidbox", "routing_key": "me"}
            request = {"method": method, "ticket": "t", "reply_to": reply_to}
            remote.deal_with(Notice("celery.pidbox", request, {}))
            return [notice.payload["node@here"] for notice in mailbox.take()]

    known = dict(COMMANDS)
    yield ask
    COMMANDS.clear()
    COMMANDS.update(known)


def test_a_reply_that_cannot_be_written_is_an_error_of_the_command(asked, caplog):
    @inspect_command()
    def odd(_state):
        return {"numbers": {1, 2}}

    [reply] = asked("odd")

    assert "<class 'set'> cannot be serialized as JSON" in reply["error"]
    [record] = [one for one in caplog.records if one.levelno >= logging.ERROR]
    assert record.exc_info is None
