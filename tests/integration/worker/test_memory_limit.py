"""Processes above ``--max-memory-per-child`` are replaced, and nothing of their work is lost."""

from __future__ import annotations

from collections import Counter

import pytest

APP = "tests.apps.sizes"
#: More than a process has at its start, and less than one that has run ``swell``.
LIMIT, SWELL = 150_000, 160


@pytest.mark.parametrize("pool", [("-c", "2"), ("-P", "threads", "-c", "3")])
def test_a_process_that_grew_is_replaced_after_what_it_runs(deploy, pool):
    deployment = deploy()
    node = deployment.start(*pool, "--max-memory-per-child", str(LIMIT), app=APP)
    app, runs = deployment.app(), deployment.runs
    tags = [f"w{number}" for number in range(60)]
    results = [app.send_task("work", args=(tag, 0.005)) for tag in tags[:30]]
    swollen = [app.send_task("swell", args=(f"s{number}", SWELL)) for number in range(2)]
    results += [app.send_task("work", args=(tag, 0.005)) for tag in tags[30:]]

    assert [result.get(timeout=20) for result in results] == tags
    assert [result.get(timeout=20) for result in swollen] == ["s0", "s1"]
    assert runs.count("start") == runs.count("end") == Counter([*tags, "s0", "s1"])
    # Whoever swelled took part in nothing that was sent later.
    last = [app.send_task("work", args=(f"l{number}", 0.0)) for number in range(10)]
    assert [result.get(timeout=20) for result in last] == [f"l{number}" for number in range(10)]
    swelled = {pid for tag in ("s0", "s1") for pid in runs.pids(tag)}
    assert not swelled & {pid for number in range(10) for pid in runs.pids(f"l{number}")}
    assert "is replaced: it has" in node.log
    assert "died" not in node.log


def test_a_worker_that_is_too_large_from_its_start_says_so_and_works(deploy):
    deployment = deploy()
    node = deployment.start("-c", "1", "--max-memory-per-child", "1000", app=APP)
    app, runs = deployment.app(), deployment.runs
    results = [app.send_task("work", args=(tag,)) for tag in "abcd"]

    assert [result.get(timeout=20) for result in results] == list("abcd")
    assert runs.count("start") == Counter("abcd")
    assert len({runs.pids(tag)[0] for tag in "abcd"}) == 4, "each in a process of its own"
    assert node.log.count("before it has run a task") == 1
