"""The lines of ``umbel events --dump``."""

from __future__ import annotations

import json

from umbel.cli.events_dump import Dump

RECEIVED = {
    "type": "task-received",
    "hostname": "w@h",
    "timestamp": 1_700_000_000.5,
    "uuid": "one",
    "name": "add",
    "args": "(2, '\x1b[31m')",
    "retries": 0,
    "eta": None,
}
SUCCEEDED = {
    "type": "task-succeeded",
    "hostname": "w@h",
    "timestamp": 1_700_000_001,
    "uuid": "one",
    "result": "5",
}


def test_a_line_says_who_when_what_and_of_which_task():
    dump = Dump()
    assert dump.line(RECEIVED) == (
        "w@h [2023-11-14 22:13:20.500+00:00] task-received: add(one) "
        "args=\"(2, '\\x1b[31m')\" retries=0"
    )
    assert dump.line(SUCCEEDED) == (
        "w@h [2023-11-14 22:13:21.000+00:00] task-succeeded: add(one) result='5'"
    )


def test_what_lacks_its_fields_makes_a_line_as_well():
    dump = Dump()
    assert dump.line({"type": "worker-online"}) == "None [None] worker-online"
    assert dump.line({"type": "x\x07", "hostname": 1, "timestamp": 1e300, "uuid": 5}) == (
        "1 [1e+300] x\ufffd"
    )


def test_json_lines_are_the_events_themselves():
    assert json.loads(Dump(as_json=True).line(RECEIVED)) == RECEIVED
