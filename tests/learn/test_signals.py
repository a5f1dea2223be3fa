"""Signals: being called when a task is sent or runs, without touching the task."""

from __future__ import annotations

from umbel import Umbel
from umbel.signals import before_task_publish, task_failure, task_postrun


def test_a_receiver_is_called_when_a_task_has_run(lessons):
    ended = []

    @task_postrun.connect
    def note(sender, task_id, retval, state, **rest):
        ended.append((sender.name, retval, state))

    lessons.add.apply((2, 3))

    assert ended == [("lessons.add", 5, "SUCCESS")]
    task_postrun.disconnect(note)


def test_a_receiver_may_care_for_one_task_only(lessons):
    failed = []

    @task_failure.connect(sender="lessons.divide")
    def note(exception, args, **rest):
        failed.append((type(exception), args))

    lessons.divide.apply((1, 0))

    assert failed == [(ZeroDivisionError, [1, 0])]
    task_failure.disconnect(note, sender="lessons.divide")


def test_headers_may_be_added_to_every_call_before_it_is_sent(lessons):
    @before_task_publish.connect
    def add_tenant(headers, **rest):
        headers["tenant"] = "green"

    result = lessons.who.delay()

    before_task_publish.disconnect(add_tenant)
    assert result.get(timeout=10)[1] == "green"


def test_an_app_says_when_it_is_complete():
    app = Umbel("lesson", broker="memory://signals", set_as_current=False)
    complete = []

    @app.on_after_finalize.connect
    def note(sender, **rest):
        complete.append(sender)

    app.finalize()

    assert complete == [app]
