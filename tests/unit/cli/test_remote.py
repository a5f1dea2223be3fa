"""``umbel inspect``, ``control`` and ``status``, against nodes that answer as the test says."""

from __future__ import annotations

import importlib
import json
import sys
from contextlib import ExitStack, closing

import pytest
from tests.nodes import Node

from umbel import uuid
from umbel.cli.main import run
from umbel.worker.commands.topics import COMMANDS

APP = """
from umbel import Umbel
app = Umbel("office", broker="memory://{name}", include=["office_commands"])
"""

#: A command is known where it is imported; that is, wherever tasks are.
OWN = """
from umbel.remote import control_command, inspect_command

@control_command(args=[("factor", int), ("unit", str)], signature="<factor> [unit]")
def heat(state, factor, unit="C"):
    '''Make it warmer.'''

@inspect_command(variadic="rooms", signature="[room1 [room2 …]]")
def warmth(state, rooms=()):
    '''How warm it is.'''
"""


@pytest.fixture
def office(tmp_path, monkeypatch):
    (tmp_path / "office.py").write_text(APP.format(name=uuid()))
    (tmp_path / "office_commands.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    known = dict(COMMANDS)
    with importlib.import_module("office").app as app:
        yield app
    COMMANDS.clear()
    COMMANDS.update(known)
    for name in ("office", "office_commands"):
        sys.modules.pop(name, None)


@pytest.fixture
def node(office):
    with ExitStack() as opened:
        yield lambda *arguments: opened.enter_context(closing(Node(office, *arguments)))


@pytest.fixture
def umbel(office, capsys):
    """Runs a command line: (exit code, stdout, stderr)."""

    def call(*words):
        code = run(["-A", "office", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_each_node_says_what_it_says(umbel, node):
    node("b@x", lambda _: {"ok": "pong"}), node("a@x", lambda _: ["one", {"id": "1"}])
    assert umbel("inspect", "ping", "-t", "60") == (
        0,
        '->  a@x: OK\n    * one\n    * {"id": "1"}\n->  b@x: OK\n    pong\n\n2 nodes online.\n',
        "",
    )


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ([], "- empty -"),
        ({"clock": 3}, '{\n        "clock": 3\n    }'),
        ({"ok": ["a"]}, "* a"),
        (5, "5"),
        (None, "null"),
    ],
)
def test_replies_are_printed_for_people(umbel, node, reply, text):
    node("a@x", lambda _: reply)
    assert umbel("-q", "inspect", "active")[1] == f"a@x: OK\n    {text}\n"


def test_replies_are_printed_for_programs(umbel, node):
    node("a@x"), node("b@x", lambda _: [1])
    code, out, err = umbel("inspect", "ping", "--json", "-t", "60")
    assert (code, json.loads(out), err) == (0, {"a@x": {"ok": "pong"}, "b@x": [1]}, "")


def test_an_error_of_a_node_is_seen_in_the_exit_code(umbel, node):
    node("a@x", lambda _: {"error": "unknown queue"}), node("b@x")
    assert umbel("control", "cancel_consumer", "q", "-t", "60") == (
        1, "->  a@x: ERROR\n    unknown queue\n->  b@x: OK\n    pong\n", "",
    )  # fmt: skip


def test_nobody_there_is_exit_code_69(umbel):
    assert umbel("inspect", "ping") == (69, "", "Error: No node answered within 1 s.\n")
    assert umbel("inspect", "ping", "-j", "-t", "0.5")[:2] == (69, "{}\n")


def test_a_named_node_that_is_not_there_is_exit_code_69(umbel, node):
    node("mail@x"), node("mute@x", None)
    code, out, err = umbel("inspect", "ping", "-d", "mial@x,mute@x,mail@x", "-t", "0.2")
    assert code == 69
    assert "->  mail@x: OK" in out
    assert err == (
        "Error: No node is named 'mial@x'; did you mean 'mail@x'?\n"
        "Error: mute@x did not answer within 0.2 s\n"
    )


@pytest.mark.parametrize("names", ["", ",", " "])
@pytest.mark.parametrize("words", ["status", "status --ping", "control shutdown", "inspect ping"])
def test_an_empty_destination_is_nobody_and_not_everybody(umbel, node, words, names):
    told = node("a@x").heard
    code, out, err = umbel(*words.split(), "-d", names)
    assert (code, out) == (2, "")
    assert "-d names no node" in err
    assert told == []


def test_a_misspelt_signal_revokes_nothing(umbel, node, office):
    told = node("a@x").heard
    code, _out, err = umbel("control", "terminate", "KIL", "1")
    assert code == 2
    assert "there is no signal 'KIL'; did you mean 'SIGKILL'?" in err
    assert (told, office.broker.revoked()) == ([], {})


def test_a_rate_limit_without_a_rate_is_not_taken_for_none(umbel, node):
    told = node("a@x").heard
    code, _out, err = umbel("control", "rate_limit", "mail.send")
    assert code == 2
    assert "rate_limit is missing" in err
    assert told == []


def test_two_nodes_of_one_name_are_one_line_of_warning(umbel, node):
    node("a@x"), node("a@x")
    _code, _out, err = umbel("inspect", "ping", "-t", "60")
    assert err.startswith("Warning: More than one node answers as a@x. Give each worker a name")


#: Words, and what is told to the nodes.
WORDS = {
    "inspect active": {},
    "inspect active yes": {"safe": True},
    "inspect dump_active": {},
    "inspect query_task 1 2": {"ids": ["1", "2"]},
    "inspect registered rate_limit": {"taskinfoitems": ["rate_limit"]},
    "control cancel_consumer q": {"queue": "q"},
    "control add_consumer q": {"queue": "q"},
    "control revoke 1 2": {"task_id": ["1", "2"], "terminate": False, "signal": "SIGTERM"},
    "control terminate KILL 1 2": {"task_id": ["1", "2"], "terminate": True, "signal": "KILL"},
    "control revoke_by_stamped_headers a=1 a=2 b=3": {"headers": {"a": ["1", "2"], "b": ["3"]}},
    "control heat 5": {"factor": 5},
    "control heat 5 F": {"factor": 5, "unit": "F"},
    "inspect warmth": {},
    "inspect warmth hall": {"rooms": ["hall"]},
}


@pytest.mark.parametrize("words", WORDS)
def test_words_become_named_arguments(umbel, node, words):
    one = node("a@x")
    assert umbel(*words.split(), "-t", "60")[0] == 0
    (notice,) = one.heard
    name = words.split()[1].removeprefix("dump_")
    told = {"terminate": "revoke"}.get(name, name), WORDS[words]
    assert (notice.payload["method"], notice.payload["arguments"]) == told


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("inspect actvie", "There is no inspect command 'actvie'; did you mean 'active'? See: umbel inspect --list"),
        ("control ping", "ping is a command of umbel inspect, not of umbel control"),
        ("inspect", "Which one? See: umbel inspect --list"),
        ("inspect ping 5", "ping: it takes no arguments. Usage: umbel inspect ping"),
        ("inspect active perhaps", "active: safe has to be yes or no, not 'perhaps'."),
        ("control cancel_consumer", "cancel_consumer: queue is missing. Usage: umbel control cancel_consumer <queue>"),
        ("control revoke", "revoke: task_id is missing. Usage: umbel control revoke [id1 [id2"),
        ("control revoke_by_stamped_headers a", "A stamp is given as KEY=VALUE, not as 'a'"),
        ("control heat warm", "heat: factor has to be a whole number, not 'warm'. Usage: umbel control heat <factor> [unit]"),
        ("control heat 1 F much", "heat: it takes at most 2 arguments. Usage: umbel control heat"),
        ("inspect ping -t soon", "'soon' is not a valid number"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_one_line_and_nothing_is_told(umbel, node, words, error):
    one = node("a@x")
    code, out, err = umbel(*words.split())
    assert (code, out) == (2, "")
    assert error in err
    assert "Traceback" not in err
    assert one.heard == []


def test_revoking_is_kept_by_the_broker(umbel, office):
    assert umbel("control", "revoke", "1", "-t", "0")[0] == 69
    assert list(office.broker.revoked()) == ["1"]


def test_the_commands_are_listed_with_those_of_the_project(umbel):
    code, out, _err = umbel("control", "--list")
    assert code == 0
    assert "heat <factor> [unit]" in out
    assert "Make it warmer." in out
    assert "cancel_consumer <queue>" in out
    assert "ping" not in out
    assert "warmth" in umbel("inspect", "-l")[1]


# Status -------------------------------------------------------------------------------------------


def test_status_asks_the_broker_and_disturbs_nobody(umbel, node):
    one = node("a@x")
    code, out, _err = umbel("status")
    assert code == 0
    assert out.startswith("a@x  pid 1  OK ")
    assert out.endswith("1 node online.\n")
    assert one.heard == []


def test_status_of_nodes_by_name_says_in_its_exit_code_whether_they_are_there(umbel, node):
    node("a@x"), node("b@x")
    assert umbel("status", "-d", "a@x")[0] == 0
    assert [row["node"] for row in json.loads(umbel("status", "-d", "a@x,b@x", "-j")[1])] == [
        "a@x", "b@x",
    ]  # fmt: skip
    code, out, err = umbel("status", "-d", "a@x,bb@x")
    assert (code, err) == (69, "Error: No node is named 'bb@x'; did you mean 'b@x'?\n")
    assert "b@x" not in out
    assert umbel("status", "-d", "c@y")[0] == 69


def test_status_can_have_the_nodes_answer_themselves(umbel, node):
    node("a@x"), node("mute@x", None)
    assert umbel("status", "--ping", "-d", "a@x") == (0, "->  a@x: OK\n1 node online.\n", "")
    code, out, _err = umbel("status", "-t", "0.2", "-j")
    assert (code, json.loads(out)) == (0, {"a@x": {"ok": "pong"}})
    assert umbel("status", "-t", "0.2", "-d", "mute@x") == (
        69, "0 nodes online.\n", "Error: mute@x did not answer within 0.2 s\n",
    )  # fmt: skip
