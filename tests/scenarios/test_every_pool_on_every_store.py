"""One table of scenes (``table.py``), played by every pool on every store: by a worker of its own where
the store can be reached from other processes, by one inside of this process with ``memory://``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from uuid import uuid4

import pytest
from tests.apps.scenes import make_app
from tests.deployment import ROOT, Deployment
from tests.scenarios.stage import Stage
from tests.scenarios.table import SCENES

from umbel.exceptions import ImproperlyConfigured
from umbel.testing.worker import start_worker

POOLS = ["prefork", "threads", "asyncio", "gevent", "solo"]
QUEUES = ("celery", "held")


@pytest.fixture(autouse=True)
def marks_of_this_test(tmp_path, monkeypatch):
    monkeypatch.setenv("SCENES_LOG", str(tmp_path / "marks.log"))


def show(failures):
    return "\n".join(f"--- {name}\n{text}" for name, text in failures.items())


@pytest.mark.parametrize("store", ["sqlite", pytest.param("redis", marks=pytest.mark.redis)])
@pytest.mark.parametrize("pool", POOLS)
def test_every_scene_by_a_worker_of_its_own(pool, store, tmp_path, monkeypatch, request):
    url = f"sqlite:///{tmp_path}/umbel.sqlite3"
    if store == "redis":
        url = request.getfixturevalue("redis_url")
    monkeypatch.setenv("SCENES_URL", url)
    deployment, app = Deployment(tmp_path, url, url), make_app(url)
    try:
        node = deployment.start(
            "-P", pool, "-c", "3", "-Q", ",".join(QUEUES), app="tests.apps.scenes"
        )
        failures = Stage(app, pool, inside=False, log=lambda: node.log).play(SCENES)
        assert node.process.poll() is None
    finally:
        deployment.end()
        app.close()

    assert not failures, show(failures)


@pytest.mark.parametrize("pool", ["threads", "asyncio", "solo"])
def test_every_scene_in_this_process(pool):
    failures = play_inside(pool, f"memory://{uuid4().hex}")

    assert not failures, show(failures)


def play_inside(pool, url):
    app = make_app(url)
    with start_worker(app, 3, pool, queues=QUEUES, shutdown_timeout=30):
        return Stage(app, pool, inside=True).play(SCENES)


GEVENT = """
from gevent import monkey
monkey.patch_all()
import json, sys
from tests.scenarios.test_every_pool_on_every_store import play_inside
print(json.dumps(play_inside("gevent", "memory://")))
"""


def test_every_scene_in_a_process_that_gevent_has_patched():
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    played = subprocess.run(
        [sys.executable, "-c", GEVENT],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert played.returncode == 0, played.stderr
    failures = json.loads(played.stdout.splitlines()[-1])
    assert not failures, show(failures)


def test_a_store_in_memory_and_processes_do_not_go_together():
    app = make_app(f"memory://{uuid4().hex}")

    with pytest.raises(ImproperlyConfigured, match="prefork pool needs processes of its own"):
        start_worker(app, pool="prefork").__enter__()


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_worker_of_its_own_refuses_a_store_in_memory(pool, tmp_path, monkeypatch):
    monkeypatch.setenv("SCENES_URL", "memory://")
    refused = Deployment(tmp_path, "", "").run("worker", "-P", pool, app="tests.apps.scenes")

    assert refused.returncode != 0
    assert "cannot be reached from other processes: use the solo pool" in refused.stderr


def test_the_table_has_some_forty_scenes_and_no_name_twice():
    names = [scene.name for scene in SCENES]

    assert len(names) >= 40
    assert len(set(names)) == len(names)


def test_what_a_pool_cannot_do_is_said():
    for scene in SCENES:
        for place, (why, _check) in scene.instead.items():
            assert place in (*POOLS, "inside"), scene.name
            assert why
