"""First lessons: what a task is, how it is sent, and how its result comes back. Read from the top."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from umbel.exceptions import UnknownOption


def test_a_task_is_still_a_function(lessons):
    assert lessons.add(2, 3) == 5


def test_delay_sends_it_to_a_worker_and_get_waits_for_the_value(lessons):
    result = lessons.add.delay(2, 3)

    assert result.get(timeout=10) == 5
    assert result.state == "SUCCESS"
    assert result.successful()


def test_a_wrong_call_fails_here_and_not_in_the_worker(lessons):
    with pytest.raises(TypeError, match="missing a required argument: 'y'"):
        lessons.add.delay(2)


def test_an_error_in_the_task_is_raised_where_its_result_is_asked_for(lessons):
    result = lessons.divide.delay(1, 0)

    with pytest.raises(ZeroDivisionError):
        result.get(timeout=10)
    assert result.failed()
    assert "in divide" in result.traceback


def test_apply_async_takes_options_too(lessons):
    soon = lessons.who.apply_async(countdown=0.2, queue="letters", headers={"tenant": "blue"})

    assert soon.get(timeout=10) == [soon.id, "blue", "letters"]


def test_a_misspelt_option_is_an_error_that_knows_better(lessons):
    with pytest.raises(UnknownOption, match="no option 'count_down'; did you mean 'countdown'"):
        lessons.add.apply_async((2, 3), count_down=10)


def test_a_moment_without_a_zone_is_local_time(lessons):
    in_a_moment = datetime.now() + timedelta(seconds=0.2)  # noqa: DTZ005 - that is the lesson

    assert lessons.add.apply_async((2, 3), eta=in_a_moment).get(timeout=10) == 5


def test_until_it_ran_a_result_can_say_where_the_task_is(lessons):
    later = lessons.add.apply_async((2, 3), countdown=3600)

    assert later.state == "PENDING"
    assert later.locate().where == "delayed"


def test_many_calls_are_sent_in_one_go(lessons):
    results = lessons.add.delay_many([(number, number) for number in range(10)])

    assert [result.get(timeout=10) for result in results] == list(range(0, 20, 2))


def test_a_task_may_say_how_far_it_is(lessons):
    result = lessons.count_to.delay(3)

    assert result.get(timeout=10) == "done"


def test_a_task_may_ask_to_be_run_again(lessons):
    assert lessons.patient.delay(3).get(timeout=10) == 2


def test_or_be_run_again_by_itself_when_certain_errors_happen(lessons):
    result = lessons.unreachable.delay("example.org")

    with pytest.raises(ConnectionError, match=r"example\.org"):
        result.get(timeout=10)


def test_a_shared_task_belongs_to_whatever_app_there_is(lessons):
    assert lessons.greet.delay("you").get(timeout=10) == "Hello, you!"


def test_a_task_can_be_sent_by_name_from_where_its_code_is_not(lessons):
    assert lessons.app.send_task("lessons.add", (20, 22)).get(timeout=10) == 42


def test_in_a_test_suite_tasks_may_run_at_once_without_a_worker(lessons):
    lessons.app.conf.task_always_eager = True
    try:
        assert lessons.add.delay(2, 3).get() == 5
        assert lessons.patient.delay(3).get() == 2
    finally:
        lessons.app.conf.task_always_eager = False
