"""``--reload``: the worker of a developer has the code that was saved last."""

import signal

import pytest
from tests.deployment import Deployment, await_true

CODE = """
import os, time
from umbel import Umbel

app = Umbel("edited", broker=os.environ["MARKS_BROKER"], backend=os.environ["MARKS_BACKEND"])

@app.task(name="version")
def version(seconds=0.0):
    time.sleep(seconds)
    return {version}
"""


@pytest.fixture
def edited(tmp_path):
    """A worker with --reload of a module that can be written again; (node, app, write)."""
    url = f"sqlite:///{tmp_path}/umbel.sqlite3"
    deployment = Deployment(tmp_path, url, url)
    code = tmp_path / "code"
    code.mkdir()

    def write(text):
        (code / "edited.py").write_text(text)

    write(CODE.format(version=1))
    node = deployment.start("--reload", "-P", "solo", "--workdir", str(code), app="edited")
    yield node, deployment.app(), write
    deployment.end()


def ask(app, **keywords):
    return app.send_task("version", **keywords)


def test_a_change_starts_a_worker_with_the_new_code_after_the_task_that_runs(edited):
    node, app, write = edited
    assert ask(app).get(timeout=10) == 1
    slow = ask(app, args=(1.0,))
    await_true(lambda: app.broker.admin.locate(slow.id).where == "lent", 5)
    write(CODE.format(version=2))
    await_true(lambda: "starting anew" in node.log, 10)

    assert slow.get(timeout=10) == 1
    assert ask(app).get(timeout=20) == 2
    node.signal(signal.SIGTERM)
    assert node.wait() == 0
    assert node.log.count("ready.") == 2


def test_code_that_cannot_be_imported_is_waited_for(edited):
    node, app, write = edited
    write("this is no Python")
    await_true(lambda: "waiting for a change" in node.log, 20)
    write(CODE.format(version=3))

    assert ask(app).get(timeout=20) == 3
    node.signal(signal.SIGTERM)
    assert node.wait() == 0
