"""Signals of a worker where no process is needed: logging, messages that are no tasks, errors of our
own, and calls that run in the caller."""

from __future__ import annotations

import logging
from contextlib import ExitStack, contextmanager

import pytest

from umbel import signals, states
from umbel.app.deployment import worker_values
from umbel.brokers.base import Delivery, Verdict
from umbel.events.emitter import Emitter
from umbel.exceptions import DecodeError
from umbel.worker.board import Board
from umbel.worker.line import Line
from umbel.worker.log_setup import set_up_logging
from umbel.worker.middleware.base import Middleware
from umbel.worker.middleware.signals import Signals
from umbel.worker.options import WorkerOptions
from umbel.worker.process import WorkerProcess
from umbel.worker.reception import Reception


@contextmanager
def connected(signal, receiver):
    signal.connect(receiver)
    try:
        yield
    finally:
        signal.disconnect(receiver)


@pytest.fixture
def listen():
    """``listen(signal, …)``: the list of what is told from then on: (name, sender, arguments)."""
    with ExitStack() as stack:

        def start(*heard, answer=None):
            told = []

            def receiver(signal, sender, **named):
                told.append((signal.name, sender, named))
                if isinstance(answer, Exception):
                    raise answer
                return answer

            for signal in heard:
                stack.enter_context(connected(signal, receiver))
            return told

        yield start


@contextmanager
def clean_logging():
    """Loggers as they are when a worker starts."""
    names = ("", "umbel", "celery", "umbel.task")
    loggers = [logging.getLogger(name) for name in names]
    before = [(one, one.handlers, one.level, one.propagate) for one in loggers]
    for one in loggers:
        one.handlers = []
    try:
        yield
    finally:
        for one, handlers, level, propagate in before:
            one.handlers, one.propagate = handlers, propagate
            one.setLevel(level)


def process_of(app):
    place = Board(1).places[0]
    options = WorkerOptions(**worker_values(app, pool="solo"))
    return WorkerProcess(options, Line(place), Emitter())


def take(app, consumer):
    [delivery] = consumer.exchange([], 1).deliveries
    return Reception(app.tasks, Emitter(), "node", frozenset({"application/json"})).look_at(
        delivery
    )


def test_a_receiver_of_setup_logging_keeps_ours_away(listen):
    told = listen(signals.setup_logging)

    with clean_logging():
        assert not set_up_logging(logging.INFO, line_format="%(message)s", task_format="%(name)s")
        assert logging.getLogger().handlers == []
    arguments = {
        "loglevel": logging.INFO, "logfile": None, "format": "%(message)s", "colorize": False,
    }  # fmt: skip
    assert told == [("setup_logging", None, arguments)]


def test_where_every_receiver_of_setup_logging_raises_ours_is_there(listen):
    listen(signals.setup_logging, answer=ValueError("no"))

    with clean_logging():
        assert set_up_logging(logging.INFO, line_format="%(message)s", task_format="%(name)s")
        assert len(logging.getLogger().handlers) == 1


def test_the_loggers_are_told_after_our_set_up(listen):
    told = listen(signals.after_setup_logger, signals.after_setup_task_logger)

    with clean_logging():
        set_up_logging(logging.INFO, line_format="%(message)s", task_format="%(name)s")

    assert [(name, named["logger"].name, named["format"]) for name, _sender, named in told] == [
        ("after_setup_logger", "root", "%(message)s"),
        ("after_setup_task_logger", "umbel.task", "%(name)s"),
    ]


def test_without_receivers_no_middleware_of_signals_is_made(app, listen):
    def made():
        return [one for one in process_of(app)._middlewares() if isinstance(one, Signals)]

    assert made() == []
    told = listen(signals.task_success)
    assert len(made()) == 1
    assert told == []


def test_a_message_that_cannot_be_read_is_told_as_rejected(app, listen):
    told = listen(signals.task_rejected)
    delivery = Delivery(message=None, queue="celery", loan="1", raw=b"{", problem="half a message")
    reception = Reception(app.tasks, Emitter())

    assert reception.look_at(delivery).verdict is Verdict.REJECT
    [(_, sender, named)] = told
    assert sender is reception
    assert named["message"] is delivery
    assert isinstance(named["exc"], DecodeError)


def test_a_body_that_cannot_be_decoded_is_told_as_rejected_and_failed(app, listen):
    @app.task
    def add(x, y):
        return x + y

    told = listen(signals.task_rejected, signals.task_failure, signals.task_postrun)
    consumer = app.broker.consume(["celery"], "node/1/test")
    add.apply_async((1, 2), serializer="json")
    job = take(app, consumer)
    pipeline = process_of(app).pool.pipeline
    pipeline.accept = frozenset({"application/x-yaml"})

    assert pipeline.execute(job).verdict is Verdict.REJECT
    assert [name for name, _sender, _named in told] == ["task_rejected", "task_failure"]
    assert told[1][2]["task_id"] == job.message.id
    consumer.close()


def test_an_error_of_a_middleware_is_told_as_internal(app, listen):
    @app.task
    def add(x, y):
        return x + y

    class Broken(Middleware):
        def admit(self, job):
            raise ZeroDivisionError("ours")

    app.middlewares.append(Broken)
    told = listen(signals.task_internal_error)
    consumer = app.broker.consume(["celery"], "node/1/test")
    add.delay(1, 2)
    job = take(app, consumer)

    process_of(app).pool.pipeline.execute(job)

    [(_, sender, named)] = told
    assert sender is add
    assert set(named) == {
        "task_id", "args", "kwargs", "request", "exception", "traceback", "einfo",
    }  # fmt: skip
    assert (named["args"], named["request"].id) == ([1, 2], job.message.id)
    assert isinstance(named["exception"], ZeroDivisionError)
    assert named["traceback"] is not None
    consumer.close()


def test_a_received_request_has_the_names_of_celerys(app, listen):
    @app.task
    def add(x, y):
        return x + y

    told = listen(signals.task_received)
    consumer = app.broker.consume(["celery"], "node/1/test")
    sent = add.apply_async((1,), {"y": 2}, expires=60, headers={"tenant": "blue"})
    take(app, consumer)

    [(_, _sender, named)] = told
    request = named["request"]
    assert (request.id, request.task_id, request.name) == (sent.id, sent.id, add.name)
    assert (request.args, request.kwargs, request.task) == ([1], {"y": 2}, add)
    assert (request.argsrepr, request.kwargsrepr, request.tenant) == ("(1,)", "{'y': 2}", "blue")
    assert request.expires.tzinfo is not None
    assert request.eta is None
    assert request.delivery_info["routing_key"] == "celery"
    assert request.info()["hostname"] == "node"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = request.nothing
    consumer.close()


def test_calls_that_run_in_the_caller_are_told_like_others(app, listen):
    @app.task
    def divide(x, y):
        return x / y

    told = listen(
        signals.task_prerun, signals.task_postrun, signals.task_success, signals.task_failure
    )

    divide.apply((4, 2))
    divide.apply((4, 0))

    assert [(name, named.get("state")) for name, _sender, named in told] == [
        ("task_prerun", None), ("task_success", None), ("task_postrun", states.SUCCESS),
        ("task_prerun", None), ("task_failure", None), ("task_postrun", states.FAILURE),
    ]  # fmt: skip


def test_an_app_tells_once_that_it_is_complete(app):
    told = []

    @app.on_after_configure.connect
    def configured(sender, source, **_told):
        told.append((sender, source))
        sender.conf.result_expires = 60

    @app.on_after_finalize.connect
    def finalized(sender, **_told):
        told.append(sender)

    app.finalize()
    app.finalize()

    assert told == [(app, app.conf), app]
    assert app.conf.result_expires == 60
