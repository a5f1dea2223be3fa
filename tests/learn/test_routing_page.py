"""The page about routing, done as it says: its code is run, its answers and commands are checked."""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest

from umbel.cli.main import cli

PAGE = (Path(__file__).parents[2] / "docs" / "routing.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CHAPTERS = {
    chapter.partition("\n")[0]: BLOCK.findall(chapter) for chapter in PAGE.split("\n## ")[1:]
}
COMMANDS = [
    line.partition("#")[0]
    for blocks in CHAPTERS.values()
    for language, text in blocks
    if language == "console"
    for line in text.splitlines()
]


@pytest.mark.parametrize(
    "title", [title for title, blocks in CHAPTERS.items() if dict(blocks).get("python")]
)
def test_the_code_of_a_chapter_gives_the_answers_it_shows(title: str) -> None:
    store = f"memory://{title.replace(' ', '-')}"  # not that of another chapter
    names: dict[str, Any] = {"__name__": "shop"}
    checked = 0
    for language, text in CHAPTERS[title]:
        if language == "python":
            exec(compile(text.replace("memory://", store), title, "exec"), names)
        elif language == "pycon":
            session = doctest.DocTestParser().get_doctest(text, names, title, None, None)
            runner = doctest.DocTestRunner(optionflags=doctest.REPORT_UDIFF)
            failed, checked = runner.run(session)
            assert failed == 0, title
    names["app"].close()
    assert checked > 0 or title == "Broadcast"


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_of_the_page_are_understood(command: str) -> None:
    words = shlex.split(command)
    assert words[:3] == ["umbel", "-A", "shop"]

    command_of: Any = cli.get_command(click.Context(cli), words[3])
    if isinstance(command_of, click.Group):
        assert words[4:] == [] or words[4] in command_of.commands
    else:
        command_of.make_context(words[3], words[4:])
