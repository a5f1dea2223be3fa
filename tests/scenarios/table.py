"""The table: every way in which a task is sent, runs and ends, for every pool on every store."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.scenarios.stage import PATIENCE, Check, Scene, Stage

from umbel.exceptions import (
    EncodeError,
    SoftTimeLimitExceeded,
    TaskRevokedError,
    TimeLimitExceeded,
)

LARGE = 2_000_000

# What must be seen --------------------------------------------------------------------------------


def gives(value: Any) -> Check:
    """This result; and nothing is left of the message."""

    def check(stage: Stage, result: Any) -> None:
        assert result.get(timeout=PATIENCE) == value
        assert result.state == "SUCCESS"
        stage.await_true(lambda: stage.where(result.id) is None, "the message is gone")

    return check


def fails(kind: type[BaseException], text: str = "", *, dead: bool = True) -> Check:
    """This error; and the message is kept with its reason, or not where it was acknowledged before."""

    def check(stage: Stage, result: Any) -> None:
        with pytest.raises(kind, match=text or None):
            result.get(timeout=PATIENCE)
        assert result.state == "FAILURE"
        assert result.traceback
        where = "dead" if dead else None
        stage.await_true(lambda: stage.where(result.id) == where, f"the message is {where}")

    return check


def is_revoked(reason: str) -> Check:
    def check(stage: Stage, result: Any) -> None:
        with pytest.raises(TaskRevokedError, match=reason):
            result.get(timeout=PATIENCE)
        assert result.state == "REVOKED"
        stage.await_true(lambda: stage.where(result.id) is None, "the message is gone")

    return check


def all_of(*checks: Check) -> Check:
    def check(stage: Stage, result: Any) -> None:
        for one in checks:
            one(stage, result)

    return check


def marks(what: str, times: int = 1) -> Check:
    """This was written down exactly so often; {id} stands for the task's."""

    def check(stage: Stage, result: Any) -> None:
        text = what.replace("{id}", getattr(result, "id", ""))
        stage.await_mark(text, times)
        assert len(stage.marked(text)) == times, stage.marks()

    return check


def never_marks(what: str) -> Check:
    def check(stage: Stage, result: Any) -> None:
        assert not stage.marked(what.replace("{id}", result.id))

    return check


def logs(text: str) -> Check:
    def check(stage: Stage, _result: Any) -> None:
        assert stage.inside or text in stage.log()

    return check


def is_ignored(stage: Stage, result: Any) -> None:
    stage.await_true(lambda: result.state == "MINE", "it has begun")
    stage.await_true(lambda: stage.where(result.id) is None, "the message is gone")
    assert (result.state, result.info) == ("MINE", {"left": "alone"})


def is_rejected(stage: Stage, result: Any) -> None:
    stage.await_true(lambda: stage.where(result.id) == "dead", "it is a dead letter")
    assert "Reject" in stage.app.broker.admin.locate(result.id).detail
    assert len(stage.marked("reject")) == 1
    assert result.state == "FAILURE"


def leaves_no_result(stage: Stage, result: Any) -> None:
    stage.await_mark("silent")
    stage.await_true(lambda: stage.where(result.id) is None, "the message is gone")
    assert result.state == "PENDING"


def keeps_the_error(stage: Stage, result: Any) -> None:
    """Whose caller was told that there is nothing to wait for."""
    fails(ValueError, "all the same")(stage, stage.app.AsyncResult(result.id))


def is_parked(stage: Stage, result: Any) -> None:
    parked = stage.app.broker.admin.parked
    stage.await_true(lambda: parked().get("never_written") == 1, "it is parked")
    assert stage.where(result.id) == "parked"
    assert result.state == "PENDING"


def knows_itself(stage: Stage, result: Any) -> None:
    seen = result.get(timeout=PATIENCE)
    assert seen.pop("hostname"), "a node's name"
    assert seen == {
        "id": result.id, "task": "who", "args": [1], "kwargs": {"b": 2}, "retries": 0, "root": result.id,
        "queue": "celery", "tenant": "blue", "shadow": "somebody", "eager": False,
    }  # fmt: skip


def keeps_the_rate(stage: Stage, sent: tuple[float, list[Any]]) -> None:
    began, results = sent
    assert [result.get(timeout=PATIENCE) for result in results] == [0, 1, 2]
    moments = stage.marked("slowly")
    assert len(moments) == 3
    assert max(moments) - began > 0.35, "two pauses of a fifth of a second"


def not_before(seconds: float) -> Check:
    def check(stage: Stage, sent: tuple[float, Any]) -> None:
        began, result = sent
        ran = result.get(timeout=PATIENCE)
        assert ran >= began + seconds - 0.01, "moments have milliseconds"

    return check


def in_order(stage: Stage, results: list[Any]) -> None:
    for result in results:
        result.get(timeout=PATIENCE)
    ran = [text for _, text in stage.marks() if text.startswith("priority")]
    assert ran == ["priority 9", "priority 5", "priority 0"]


def all_run(stage: Stage, results: list[Any]) -> None:
    for result in results:
        result.get(timeout=PATIENCE)


def remembers_its_name(stage: Stage, result: Any) -> None:
    result.get(timeout=PATIENCE)
    assert (result.name, result.retries, result.queue) == ("give", 0, "celery")


# How it is sent -------------------------------------------------------------------------------------


def call(task: str, *args: Any, **options: Any) -> Callable[[Stage], Any]:
    return lambda stage: stage.send(task, *args, **options)


def revoked_while_it_waits(stage: Stage) -> Any:
    result = stage.send("note", "revoked while it waits", queue="held")
    result.revoke()
    return result


def revoked_while_delayed(stage: Stage) -> Any:
    result = stage.send("note", "revoked while delayed", countdown=60)
    result.revoke()
    return result


def terminated(stage: Stage) -> Any:
    name = "stay_async" if stage.pool == "asyncio" else "stay"
    result = stage.send(name, "stays")
    stage.await_mark("stays")
    result.revoke(terminate=True)
    return result


def expired_while_it_waits(stage: Stage) -> Any:
    result = stage.send("note", "expired", queue="held", expires=0.05)
    time.sleep(0.1)
    return result


def three_at_once(stage: Stage) -> tuple[float, list[Any]]:
    return time.time(), [stage.send("slowly", number) for number in range(3)]


def at_a_moment(stage: Stage) -> tuple[float, Any]:
    moment = datetime.now(UTC) + timedelta(seconds=0.3)
    return moment.timestamp(), stage.send("note", "eta", eta=moment)


def in_a_while(stage: Stage) -> tuple[float, Any]:
    return time.time() + 0.2, stage.send("note", "countdown", countdown=0.2)


def with_priorities(stage: Stage) -> list[Any]:
    return [
        stage.send("note", f"priority {priority}", queue="held", priority=priority)
        for priority in (0, 9, 5)
    ]


def linked(stage: Stage) -> Any:
    return stage.send("give", 5, link=stage.app.tasks["follow"].s("link"))


def linked_twice(stage: Stage) -> Any:
    follow = stage.app.tasks["follow"]
    return stage.send("give", 6, link=[follow.s("first"), follow.s("second")])


def with_errback_by_id(stage: Stage) -> Any:
    return stage.send("fail", "by id", link_error=stage.app.tasks["errback_by_id"].s())


def with_errback_by_request(stage: Stage) -> Any:
    errback = stage.app.tasks["errback_by_request"].s("told")
    return stage.send("fail", "by request", link_error=errback)


def ordered_by(pools: str) -> dict[str, tuple[str, Check]]:
    why = "several run at once, so that the order in which they begin cannot be seen"
    return dict.fromkeys(pools.split(), (why, all_run))


SCENES = [
    # What comes back
    Scene("a value", call("give", {"a": [1, None, "é"]}), gives({"a": [1, None, "é"]})),
    Scene("None", call("give", None), gives(None)),
    Scene("an error", call("fail", "no"), fails(ValueError, r"^no\b")),
    Scene("an error that cannot be sent", call("fail_oddly"), fails(Exception, "odd 7")),
    Scene("SystemExit", call("leave"), fails(Exception, "3")),
    Scene("no result", call("silent", "silent"), leaves_no_result),
    Scene("errors only", call("silent_but_errors"), keeps_the_error),
    Scene("a large result", call("much", LARGE), gives("x" * LARGE)),
    Scene("large arguments", call("length", "x" * LARGE), gives(LARGE)),
    Scene("no JSON", call("unserializable"), fails(EncodeError, r"object")),
    Scene("a generator", call("generate"), fails(EncodeError, "returned a generator")),
    Scene(
        "an async generator",
        call("generate_async"),
        fails(EncodeError, "returned an async generator"),
    ),
    Scene("what the result remembers", call("give", 1), remembers_its_name),
    # Retries and other ways to end
    Scene("a retry that helps", call("flaky", 2), gives(2)),
    Scene("retries that do not help", call("flaky", 9), fails(ValueError, "run 3")),
    Scene(
        "automatic retries",
        call("flaky_by_itself"),
        all_of(fails(KeyError, "always"), marks("flaky_by_itself", 3)),
    ),
    Scene("Ignore", call("ignore"), is_ignored),
    Scene("Reject", call("reject"), is_rejected),
    Scene("Reject, and requeue", call("reject_once"), gives("the second time")),
    Scene("acknowledged early", call("fail_early"), fails(KeyError, "early", dead=False)),
    # Revoking and limits
    Scene("revoked while it waits", revoked_while_it_waits, is_revoked("revoked")),
    Scene("revoked while delayed", revoked_while_delayed, is_revoked("revoked")),
    Scene("revoked while it runs", terminated, is_revoked("terminated"), last=True),
    Scene("a soft limit, caught", call("soft_caught"), gives("cleaned up")),
    Scene("a soft limit", call("soft"), fails(SoftTimeLimitExceeded)),
    Scene("a soft limit of a coroutine", call("soft_async"), fails(SoftTimeLimitExceeded)),
    Scene(
        "a hard limit",
        call("hard"),
        fails(TimeLimitExceeded),
        instead=dict.fromkeys(
            ("threads", "asyncio", "gevent", "solo"),
            (
                "nobody can end it by force, which the worker says when it starts",
                all_of(
                    fails(TimeLimitExceeded), logs("only raise TimeLimitExceeded inside the task")
                ),
            ),
        ),
    ),
    Scene(
        "a soft limit below a hard one",
        call("soft_caught", time_limit=20),
        gives("cleaned up"),
    ),
    Scene("expired while it waits", expired_while_it_waits, is_revoked("expired")),
    Scene(
        "expired before it was sent",
        call("note", "too late", expires=datetime.now(UTC) - timedelta(minutes=1)),
        all_of(is_revoked("expired"), never_marks("too late")),
    ),
    Scene("a rate limit", three_at_once, keeps_the_rate),
    # When and where
    Scene("an ETA", at_a_moment, not_before(0.0)),
    Scene("a countdown", in_a_while, not_before(0.0)),
    Scene(
        "urgent ones first",
        with_priorities,
        in_order,
        instead=ordered_by("prefork threads asyncio gevent"),
    ),
    Scene("an unknown task", lambda stage: stage.stranger.send_task("never_written"), is_parked),
    Scene(
        "wrong arguments",
        lambda stage: stage.stranger.send_task("give", (1, 2, 3)),
        fails(TypeError, "give"),
    ),
    # What a task knows and says
    Scene("progress", call("progress", 3), gives([0, 1, 2])),
    Scene(
        "its request",
        call("who", 1, kwargs={"b": 2}, headers={"tenant": "blue"}, shadow="somebody"),
        knows_itself,
    ),
    # Classes of tasks
    Scene(
        "handlers of a success",
        call("handled", "well"),
        all_of(gives("well"), marks("before {id}"), marks("success {id}"), marks("after {id}")),
    ),
    Scene(
        "handlers of a failure",
        call("handled", "fail"),
        all_of(fails(ValueError, "no"), marks("failure {id}"), marks("after {id}")),
    ),
    Scene(
        "handlers of a retry",
        call("handled", "retry"),
        all_of(gives("retry"), marks("retry {id}"), marks("before {id}", 2), marks("after {id}")),
    ),
    Scene(
        "before_start that raises",
        call("handled", "not even begun"),
        all_of(fails(RuntimeError, "not even begun"), marks("failure {id}")),
    ),
    Scene("a __call__ of one's own", call("doubled", 21), gives(42)),
    # Coroutines
    Scene("a coroutine", call("give_async", 5), gives(5)),
    Scene("a coroutine that fails", call("fail_async"), fails(LookupError, "no such thing")),
    # What follows
    Scene("link", linked, all_of(gives(5), marks("link 5"))),
    Scene("several links", linked_twice, all_of(gives(6), marks("first 6"), marks("second 6"))),
    Scene(
        "an errback with an id", with_errback_by_id, all_of(fails(ValueError), marks("failed {id}"))
    ),
    Scene(
        "an errback with everything",
        with_errback_by_request,
        all_of(fails(ValueError), marks("told {id} ValueError True")),
    ),
    # The end of a process
    Scene(
        "a process that is killed",
        call("die_once"),
        gives("the second time"),
        instead={
            "inside": ("it is the process of the client, too", None),
            "solo": ("the worker has no other process", None),
        },
        last=True,
    ),
]
