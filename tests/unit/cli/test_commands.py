"""The command line: what each command prints, and one line for each mistake."""

import io
import json
import subprocess
import sys

import pytest

from umbel import Umbel
from umbel.cli.main import LATER, run

APP = """
from umbel import Umbel
app = Umbel("shop", broker="sqlite:///{folder}/shop.sqlite3", backend="sqlite:///{folder}/shop.sqlite3")

@app.task(name="add")
def add(x, y):
    return x + y
"""


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A project in the current directory, as a user has one; gives its app."""
    (tmp_path / "shop.py").write_text(APP.format(folder=tmp_path))
    (tmp_path / "broken.py").write_text("import nothing_like_this\n")
    (tmp_path / "empty.py").write_text("x = 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in ("shop", "broken", "empty"):
        sys.modules.pop(name, None)


@pytest.fixture
def umbel(capsys):
    """Runs a command line: (exit code, stdout, stderr)."""

    def call(*words):
        code = run(list(words))
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_without_words_it_lists_the_commands(umbel):
    _code, out, err = umbel()

    for command in ("worker", "call", "result", "status", "purge", "report", "queues", "dead"):
        assert command in out + err


def test_a_misspelt_command_is_one_line(umbel):
    code, _out, err = umbel("wroker")

    assert code == 2
    assert "wroker" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("name", sorted(LATER))
def test_a_command_of_celery_that_is_still_to_come_is_not_taken_for_another(umbel, name):
    code, _out, err = umbel(name, "-l", "info")

    assert code == 2
    assert (
        f"Error: This version of Umbel has no command {name!r}; it comes with a later one\n" in err
    )
    assert "did you mean" not in err


def test_a_warning_about_a_setting_points_at_the_program_not_at_what_runs_the_command(
    shop, tmp_path
):
    (tmp_path / "slip.py").write_text(
        "class Settings:\n    CELERY_BROKER_ULR = 'x'\n\nfrom umbel import Umbel\n"
        "app = Umbel('slip', broker='memory://', namespace='CELERY', config_source=Settings)\n"
    )
    program = tmp_path / "program.py"
    program.write_text("from umbel.cli.main import main\n\nmain(['-A', 'slip', 'report'])\n")
    said = subprocess.run(
        [sys.executable, str(program)], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stderr

    assert said.startswith(
        f"{program}:3: UmbelWarning: CELERY_BROKER_ULR in class slip.Settings is"
    )


@pytest.mark.parametrize(
    ("app", "says"),
    [
        ("shoop", "There is no module 'shoop'"),
        ("shop:nothing", "has no 'nothing'"),
        ("shop:add", "not an app"),
        ("broken", "nothing_like_this"),
        ("empty", "No app in empty"),
    ],
)
def test_a_wrong_app_is_one_line_that_says_what_was_looked_for(shop, umbel, app, says):
    code, out, err = umbel("-A", app, "report")

    assert code == 1
    assert says in err
    assert "Traceback" not in out + err
    assert len(err.strip().splitlines()) == 1


def test_no_app_at_all_says_how_to_name_one(shop, umbel, monkeypatch):
    monkeypatch.delenv("APP", raising=False)
    monkeypatch.setattr("umbel.current._Shared.app", None)
    code, _out, err = umbel("delayed", "list", "-n", "5")

    assert code == 1
    assert "umbel -A proj delayed list -n 5 (or -A proj.celery:app)" in err


def test_the_app_may_be_named_before_or_after_the_command(shop, umbel):
    before = umbel("-A", "shop", "queues")
    after = umbel("queues", "-A", "shop")
    equals = umbel("queues", "--app=shop")

    assert before == after == equals
    assert before[0] == 0
    assert "celery" in before[1]


def test_queues_are_paused_and_resumed_by_name(shop, umbel):
    paused = umbel("-A", "shop", "queues", "pause", "celery", "mail")
    _code, table, _err = umbel("-A", "shop", "queues")
    _code, listed, _err = umbel("-A", "shop", "queues", "--json")
    resumed = umbel("-A", "shop", "queues", "resume", "celery", "mail")
    _code, after, _err = umbel("-A", "shop", "queues")

    assert paused[:2] == (0, "Paused celery, mail.\n")
    assert [line.split()[0] for line in table.splitlines() if "paused" in line] == [
        "celery",
        "mail",
    ]
    assert {row["name"]: row["paused"] for row in json.loads(listed)["queues"]} == {
        "celery": True,
        "mail": True,
    }
    assert resumed[:2] == (0, "Resumed celery, mail.\n")
    assert "paused" not in after


def test_call_sends_and_prints_the_id(shop, umbel):
    code, out, _err = umbel("-A", "shop", "call", "add", "-a", "[2, 3]")
    _code, listed, _err = umbel("-A", "shop", "queues", "--json")

    assert code == 0
    assert len(out.strip()) == 36
    assert json.loads(listed)["queues"][0]["ready"] == 1


def test_call_warns_of_a_name_that_the_app_does_not_have_and_sends_it(shop, umbel):
    code, out, err = umbel("-A", "shop", "call", "ad")
    _code, listed, _err = umbel("-A", "shop", "queues", "--json")

    assert (code, len(out.strip())) == (0, 36)
    assert err == "Warning: No task is called 'ad'; did you mean 'add'? (sent all the same)\n"
    assert json.loads(listed)["queues"][0]["ready"] == 1


def test_call_sends_although_a_module_with_tasks_is_broken(shop, umbel, tmp_path):
    (tmp_path / "settled.py").write_text("1 / 0\n")
    with (tmp_path / "shop.py").open("a") as module:
        module.write("app.conf.imports = ['settled']\n")
    code, out, err = umbel("-A", "shop", "call", "elsewhere")

    assert (code, len(out.strip())) == (0, 36)
    assert "not all tasks could be imported (ZeroDivisionError: division by zero)" in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("-a", "[2, 3"), "not JSON"),
        (("-a", '{"x": 2}'), "expected a list"),
        (("-k", "[2]"), "expected an object"),
        (("--eta", "tomorrow"), "no moment"),
        (("--priority", "11"), "11"),
        (("-a", "[2, 3]", "--countdown", "1e300"), "no moment"),
    ],
)
def test_a_mistake_in_call_is_explained(shop, umbel, words, says):
    code, _out, err = umbel("-A", "shop", "call", "add", *words)

    assert code == 2
    assert says in err


def test_result_tells_where_a_waiting_task_is(shop, umbel):
    _code, out, _err = umbel("-A", "shop", "call", "add", "-a", "[2, 3]")
    code, said, _err = umbel("-A", "shop", "result", out.strip())

    assert code == 0
    assert said.strip() == "PENDING: ready on queue celery"


def test_result_of_an_unknown_id_fails(shop, umbel):
    code, _out, err = umbel("-A", "shop", "result", "nobody-sent-this")

    assert code == 1
    assert "Unknown" in err


def test_purge_asks_first_and_tells_how_many(shop, umbel, monkeypatch):
    umbel("-A", "shop", "call", "add", "-a", "[2, 3]")
    monkeypatch.setattr("sys.stdin", io.StringIO())  # nobody answers
    refused = umbel("-A", "shop", "purge")
    done = umbel("-A", "shop", "purge", "-f")

    assert refused[0] != 0
    assert done[0] == 0
    assert "Purged 1 message from celery" in done[1]


def test_status_without_workers_ends_with_69(shop, umbel):
    code, out, _err = umbel("-A", "shop", "status")

    assert code == 69
    assert "0 nodes online" in out


def test_dead_letters_of_an_empty_broker(shop, umbel):
    assert umbel("-A", "shop", "dead", "list")[1] == "No dead letters.\n"
    code, _out, err = umbel("-A", "shop", "dead", "retry")

    assert code == 2
    assert "say which" in err


def test_dead_retry_of_an_unknown_id_says_so(shop, umbel):
    code, out, _err = umbel("-A", "shop", "dead", "retry", "nobody")

    assert code == 1
    assert "0 of 1" in out


def test_a_delayed_message_is_listed_and_cancelled(shop, umbel):
    _code, out, _err = umbel("-A", "shop", "call", "add", "-a", "[2, 3]", "--countdown", "3600")
    task_id = out.strip()
    listed = umbel("-A", "shop", "delayed", "list")
    cancelled = umbel("-A", "shop", "delayed", "cancel", task_id)
    again = umbel("-A", "shop", "delayed", "cancel", task_id)

    assert task_id in listed[1]
    assert "add" in listed[1]
    assert (cancelled[0], cancelled[1]) == (0, "1 of 1 cancelled.\n")
    assert again[0] == 1
    assert "REVOKED" in umbel("-A", "shop", "result", task_id)[1]
    assert umbel("-A", "shop", "delayed", "list")[1] == "No delayed messages.\n"


def test_report_shows_versions_and_hides_passwords(shop, umbel):
    url = "redis://:verysecret@127.0.0.1:1/0"
    code, out, _err = umbel("-A", "shop", "-b", url, "report")

    assert code == 0
    assert "msgspec" in out
    assert "verysecret" not in out
    assert "127.0.0.1:1" in out


def test_health_of_nobody_is_unavailable(umbel, tmp_path):
    code, out, _err = umbel("health", str(tmp_path / "no.sock"))

    assert code == 69
    assert out == "No answer\n"


def test_a_worker_refuses_a_broker_that_its_processes_cannot_reach(shop, umbel):
    code, _out, err = umbel("-A", "shop", "-b", "memory://", "worker", "-c", "1")

    assert code == 1
    assert "solo" in err


@pytest.mark.parametrize(
    ("flag", "value", "says"),
    [
        ("-c", "0", "0"),
        ("-c", "x", "'x' is not a valid whole number."),
        ("--time-limit", "x", "'x' is not a valid number."),
        ("--time-limit", "nan", "'nan' is not a valid number."),
        ("-P", "gevnt", "gevnt"),
        ("-c", "100000", "100000 processes are too many"),
        ("--autoscale", "100000,1", "100000 processes are too many"),
        ("--processes", "10000000", "too many"),
        ("--pidfile", "/", "pidfile /"),
        ("--health", "nowhere", "host:port"),
    ],
)
def test_a_wrong_flag_of_the_worker_is_one_line(shop, umbel, flag, value, says):
    code, out, err = umbel("-A", "shop", "worker", flag, value)

    assert code in (1, 2, 73)
    assert says in err
    assert "Traceback" not in out + err


def test_an_app_made_here_is_found_without_a_name():
    app = Umbel("here", broker="memory://", backend="memory://")

    assert run(["queues"]) == 0
    app.close()


def test_a_misspelt_command_is_answered_with_the_nearest(umbel):
    code, _out, err = umbel("workr")

    assert code == 2
    assert "No such command 'workr'; did you mean 'worker'?" in err


def test_a_directory_that_is_not_there_is_named(umbel):
    code, _out, err = umbel("--workdir", "/nope", "report")

    assert code == 2
    assert "'/nope' does not exist" in err


@pytest.mark.usefixtures("shop")
def test_a_port_that_cannot_be_is_one_line(umbel):
    code, _out, err = umbel("-A", "shop", "worker", "-P", "solo", "--health", "127.0.0.1:99999")

    assert code == 1
    assert "'127.0.0.1:99999': expected 'host:port', the port from 0 to 65535" in err
    assert "Traceback" not in err
