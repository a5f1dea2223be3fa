"""Names of log files, loggers of tasks, lines for programs."""

import json
import logging
import sys

import pytest

from umbel import get_task_logger
from umbel.worker.log_formats import ColorFormatter, JsonFormatter
from umbel.worker.log_setup import expand, paints


@pytest.mark.parametrize(
    ("template", "number", "name"),
    [
        ("%n.log", 0, "a.log"),
        ("%p", 0, "a@host.example"),
        ("%n@%h %d", 0, "a@host.example example"),
        ("w%I.log", 0, "w.log"),
        ("w%I.log", 3, "w-3.log"),
        ("w%i", 3, "w3"),
        ("100%%n", 0, "100%n"),
        ("50%x%", 0, "50%x%"),
    ],
)
def test_a_file_name_is_made_of_the_node_and_the_process(template, number, name):
    assert expand(template, "a@host.example", number) == name


def test_the_logger_of_a_task_is_a_child_of_the_task_logger_whatever_is_made_later():
    logger = get_task_logger("some_shop.orders.tasks")
    above = logging.getLogger("some_shop.orders")

    assert logger.name == "some_shop.orders.tasks"
    assert logger.parent is logging.getLogger("umbel.task")
    assert above.parent is logging.getLogger("some_shop")


@pytest.mark.parametrize("name", ["", "root", "umbel", "umbel.task"])
def test_a_logger_that_would_be_its_own_parent_is_refused(name):
    with pytest.raises(ValueError, match="cannot be the logger of a task"):
        get_task_logger(name)


def record(message, **facts):
    made = logging.LogRecord(
        "shop", logging.WARNING, "shop.py", 1, message, (), facts.pop("exc", None)
    )
    made.__dict__.update(facts)
    return made


def test_a_line_for_programs_is_one_line_whatever_it_carries():
    circle = {}
    circle["circle"] = circle
    try:
        raise KeyError("ü")
    except KeyError:
        broken = record("two\nlines", exc=sys.exc_info(), data=circle)

    line = JsonFormatter().format(broken)

    assert "\n" not in line
    facts = json.loads(line)
    assert facts["message"] == "two\nlines"
    assert facts["exception"].endswith("KeyError: 'ü'")
    assert "circle" in facts["data"]
    assert facts["task_id"] is None


def test_a_line_for_programs_is_valid_for_numbers_that_json_lacks():
    facts = json.loads(JsonFormatter().format(record("x", data={"load": float("nan")})))

    assert facts["data"] == "{'load': nan}"


class Terminal:
    def isatty(self):
        return True


def test_only_a_terminal_has_colours_unless_somebody_says_so(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)

    assert paints(Terminal(), None)
    assert not paints(Terminal(), color=False)
    assert not paints(object(), None)
    assert paints(object(), color=True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not paints(Terminal(), None)


def test_a_line_has_the_colour_of_its_level():
    assert ColorFormatter("%(message)s", color=True).format(record("x")) == "\033[33mx\033[0m"
    assert ColorFormatter("%(message)s").format(record("x")) == "x"
