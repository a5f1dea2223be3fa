"""``docs/logging.md`` lists every logger: people write these names into their configuration."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "logging.md"
ROW = re.compile(r"^\| `(umbel[a-z_.]*)` \|", re.MULTILINE)


def loggers_in(path: Path) -> Iterator[str]:
    """The names that this file asks ``logging`` for, other than the root and names of variables."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("getLogger"):
            for name in node.args:
                if isinstance(name, ast.Constant):
                    yield str(name.value)
                elif ast.unparse(name) == "__name__":
                    yield f"__name__ in {path.relative_to(ROOT).as_posix()}"


LOGGERS = sorted(
    {name for path in (ROOT / "src" / "umbel").rglob("*.py") for name in loggers_in(path)}
)


@pytest.mark.parametrize("name", LOGGERS)
def test_a_logger_is_listed_on_the_page(name: str) -> None:
    assert name in ROW.findall(PAGE.read_text(encoding="utf-8"))


def test_the_page_lists_no_logger_that_is_gone() -> None:
    assert set(ROW.findall(PAGE.read_text(encoding="utf-8"))) <= set(LOGGERS)
