"""Rate limits on real workers: what waits, what does not, and what changes at run time."""

from __future__ import annotations

APP = "tests.apps.limited"


def most_in_a_second(moments):
    return max(
        sum(begin <= moment < begin + 1 for moment in moments[number:])
        for number, begin in enumerate(moments)
    )


def test_all_processes_of_a_node_together_keep_the_rate(deploy):
    deployment = deploy()
    deployment.start("-c", "2", app=APP)
    app = deployment.app()
    jobs = [app.send_task("ten") for _ in range(25)]

    assert [job.get(timeout=30) for job in jobs] == ["ten"] * 25
    moments = sorted(deployment.runs.moments("start", "ten"))
    # A moment is written when the task runs: on a loaded machine a little after it was let through.
    assert moments[-1] - moments[0] >= 2.0
    assert most_in_a_second(moments) <= 13
    assert len(moments) == 25, "none ran twice"
