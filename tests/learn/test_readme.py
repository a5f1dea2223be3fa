"""The two tours of the README, done as it says: its files, its commands, its results."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"^# (\S+\.py)\n")

ASK_THE_VIEWS = """
import json
import django
django.setup()
from django.test import RequestFactory
from words import views
from words.tasks import count_words

requests = RequestFactory()
asked = json.loads(views.count(requests.get("/", {"text": "one two three"})).content)
count_words.AsyncResult(asked["id"]).get(timeout=10)
print(views.answer(requests.get("/"), asked["id"]).content.decode())
"""


class Tour:
    """One chapter of the README, in a folder of its own."""

    def __init__(self, title: str, folder: Path) -> None:
        text = README.read_text(encoding="utf-8")
        chapter = text.partition(f"## {title}\n")[2].partition("\n## ")[0]
        self.blocks = BLOCK.findall(chapter)
        self.folder = folder

    @property
    def env(self) -> dict[str, str]:
        programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        return {**os.environ, "PATH": programs, "PYTHONPATH": str(self.folder)}

    def texts(self, language: str) -> list[str]:
        return [text for found, text in self.blocks if found == language]

    def write_files(self) -> None:
        """The code blocks, under the names in their first lines; what is there is added to."""
        for text in self.texts("python"):
            name = FILE_NAME.match(text)
            assert name is not None, text
            path = self.folder / name[1]
            path.parent.mkdir(exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write(text)

    def run(self, *command: str) -> str:
        """The output of a command that has to succeed."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def worker(self) -> Iterator[None]:
        """The worker that the chapter tells to start, from its first ready line on."""
        (console,) = self.texts("console")
        command = shlex.split(console.removeprefix("$ "))
        process = subprocess.Popen(
            command, cwd=self.folder, env=self.env, stdout=-1, stderr=subprocess.STDOUT, text=True
        )
        assert process.stdout is not None
        seen = []
        try:
            for line in process.stdout:
                seen.append(line)
                if line.rstrip().endswith(" ready."):
                    break
            else:
                pytest.fail(f"the worker ended: {''.join(seen)}")
            yield
        finally:
            process.terminate()
            process.communicate(timeout=30)
        assert process.returncode == 0


def test_the_tour_in_plain_python_gives_the_results_it_shows(tmp_path: Path) -> None:
    tour = Tour("Sixty seconds in plain Python", tmp_path)
    tour.write_files()
    session = tmp_path / "session.txt"
    session.write_text("\n".join(tour.texts("pycon")), encoding="utf-8")

    with tour.worker():
        report = tour.run(sys.executable, "-m", "doctest", "-v", str(session))

    assert "6 passed" in report
    assert (tmp_path / "umbel.sqlite3").exists()


def test_the_tour_in_django_answers_at_once_and_later_with_the_result(tmp_path: Path) -> None:
    tour = Tour("Sixty seconds in Django", tmp_path)
    tour.run(sys.executable, "-m", "django", "startproject", "mysite", ".")
    tour.write_files()
    (tmp_path / "words" / "__init__.py").touch()
    ask = tmp_path / "ask.py"
    ask.write_text(ASK_THE_VIEWS, encoding="utf-8")

    with tour.worker():
        answer = tour.run("env", "DJANGO_SETTINGS_MODULE=mysite.settings", sys.executable, str(ask))

    assert answer == '{"state": "SUCCESS", "words": 3}\n'
