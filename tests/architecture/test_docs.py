"""The pages say what is true: links lead somewhere, commands exist, every setting is described.

The code blocks of the README are run by ``tests/learn/test_readme.py``.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from umbel.app.settings import SETTINGS
from umbel.app.settings_table.setting import USED

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for page in [*ROOT.glob("*.md"), *ROOT.glob("*/**/*.md")]
    if not any(part.startswith(".") for part in page.relative_to(ROOT).parts)
)

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`[^`\n]*`")
NAMED_PATH = re.compile(r"`((?:src|tests|scripts|docs|bench|examples)/[^`<*…\s]*)`")
HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)
MAKE_COMMAND = re.compile(r"(?:^ {4}|`)make ([a-z]+)", re.MULTILINE)
MAKE_TARGET = re.compile(r"^([a-z]+):", re.MULTILINE)


def page_name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


every_page = pytest.mark.parametrize("page", PAGES, ids=page_name)


def anchors_of(page: Path) -> set[str]:
    """The fragments that a reader's browser can jump to, as code hosts make them."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    headings = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(text)]
    return {heading.strip().replace(" ", "-") for heading in headings}


def links_of(page: Path) -> list[str]:
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    links = LINK.findall(INLINE.sub("", text.replace("[`", "[").replace("`]", "]")))
    return [link for link in links if "://" not in link and not link.startswith("mailto:")]


@every_page
def test_links_lead_to_a_file_and_a_heading(page: Path) -> None:
    broken = []
    for link in links_of(page):
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (fragment and fragment not in anchors_of(target)):
            broken.append(link)

    assert broken == []


@every_page
def test_paths_named_in_the_text_exist(page: Path) -> None:
    paths = NAMED_PATH.findall(page.read_text(encoding="utf-8"))

    assert [path for path in paths if not (ROOT / path).exists()] == []


@every_page
def test_make_commands_exist(page: Path) -> None:
    targets = set(MAKE_TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))

    assert set(MAKE_COMMAND.findall(page.read_text(encoding="utf-8"))) - targets == set()


def test_make_lists_every_target() -> None:
    targets = set(MAKE_TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))

    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert {line.split()[1] for line in listed.splitlines() if line.strip()} == targets


@pytest.mark.parametrize(
    "setting", [name for name, setting in SETTINGS.items() if setting.status == USED]
)
def test_every_setting_with_an_effect_is_described(setting: str) -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")

    row = re.search(
        rf"^\| `{setting}` \|(?P<kind>[^|]+)\|[^|]+\|(?P<meaning>[^|]+)\|", page, re.MULTILINE
    )

    assert row is not None, "run: make docs"
    assert row["meaning"].strip()


#: Read under a name that is put together: ``conf[f"redis_{name}"]``.
PUT_TOGETHER = {"redis_socket_timeout", "redis_socket_connect_timeout", "redis_socket_keepalive"}
#: Its one value leaves nothing to read.
SINGLE = {"task_protocol"}


def test_every_setting_that_is_said_to_have_an_effect_is_read_somewhere() -> None:
    code = "\n".join(
        file.read_text(encoding="utf-8")
        for file in (ROOT / "src" / "umbel").rglob("*.py")
        if "settings_table" not in file.parts
    )
    used = {name for name, setting in SETTINGS.items() if setting.status == USED}

    unread = {name for name in used if not re.search(rf"\b{name}\b", code)}

    assert unread == PUT_TOGETHER | SINGLE


TEST_ID = re.compile(r"(tests/[\w/]+\.py)::(test_\w+)")


def test_every_test_that_the_proofs_name_exists() -> None:
    page = (ROOT / "docs" / "proofs.md").read_text(encoding="utf-8")
    named = set(TEST_ID.findall(page))

    missing = {
        f"{file}::{name}"
        for file, name in named
        if f"def {name}(" not in (ROOT / file).read_text(encoding="utf-8")
    }

    assert len(named) > 10
    assert not missing
