"""What type checkers know of tasks: the good sample is clean, and every mistake in the bad one is found."""

from __future__ import annotations

import re
from pathlib import Path

from mypy import api

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MARK = re.compile(r"# mistake: (.+)$")
FOUND = re.compile(r":(\d+): error: .*\[(\S+)\]$")


def check(name: str, cache: Path) -> tuple[str, int]:
    output, errors, status = api.run(
        [
            "--strict",
            "--config-file",
            str(ROOT / "pyproject.toml"),
            "--cache-dir",
            str(cache),
            str(HERE / name),
        ]
    )
    assert not errors
    return output, status


def test_right_code_is_accepted_with_its_types(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(ROOT)

    output, status = check("good.py", tmp_path)

    assert status == 0, output


def test_every_mistake_is_found_and_nothing_else(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    lines = (HERE / "bad.py").read_text().splitlines()
    marks = ((number, MARK.search(line)) for number, line in enumerate(lines, 1))
    expected = {(number, code) for number, mark in marks if mark for code in mark[1].split()}

    output, _ = check("bad.py", tmp_path)

    found = (FOUND.search(line) for line in output.splitlines())
    assert {(int(error[1]), error[2]) for error in found if error} == expected, output
    assert len(expected) >= 10
