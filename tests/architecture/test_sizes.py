"""The shape of the source: small files, small functions, honest names, imports at the top."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "umbel"

LONGEST_FILE = 400
LONGEST_FUNCTION = 60

#: A name that says nothing collects everything.
EMPTY_NAMES = {"utils", "util", "common", "helpers", "helper", "misc"}

#: Imports inside functions that are wanted, also those that go through ``import_module`` with a fixed
#: name: (module, imported) -> why it cannot stand at the top.
LAZY_IMPORTS: dict[tuple[str, str], str] = {
    ("app/eager.py", "umbel.coroutines"): "asyncio takes 20 ms, and few run coroutines eagerly",
    ("backends/base.py", "umbel.offload"): "asyncio is of use to callers inside an event loop only",
    ("backends/memory.py", "asyncio"): "as above",
    ("backends/redis.py", "umbel.backends.redis_waits"): "as above",
    ("backends/sql.py", "umbel.backends.sql_watcher"): "as above",
    ("app/events.py", "umbel.offload"): "as above",
    ("brokers/base.py", "umbel.offload"): "as above",
    ("brokers/redis/broker.py", "umbel.brokers.redis.async_sending"): "as above",
    ("cli/events.py", "umbel.cli.events_camera"): "few have a camera",
    ("cli/events.py", "umbel.cli.events_view"): "textual is an optional package",
    ("cli/main.py", "umbel.app.discovery"): "help, --version and health start without any app",
    ("cli/main.py", "umbel.django.integration"): "Django is an optional package",
    ("cli/reload.py", "watchfiles"): "watchfiles is an optional package, for development",
    ("drivers/kinds.py", "importlib.metadata"): "12 ms, and only a scheme of others needs it",
    ("drivers/redis/sockets.py", "ssl"): "8 ms at every start, and few use TLS",
    ("message/serializers.py", "yaml"): "PyYAML is an optional package",
    ("cli/worker.py", "umbel.cli.reload"): "for development",
    (
        "worker/coroutine_runner.py",
        "umbel.coroutines",
    ): "asyncio takes 20 ms, and few tasks want it",
    ("worker/execution.py", "umbel.coroutines"): "as above",
    ("worker/pools/kinds.py", "umbel.worker.greenlets"): "gevent is an optional package",
    ("worker/pools/kinds.py", "umbel.worker.pools.event_loop"): "asyncio takes 20 ms",
    ("worker/rate_limits.py", "tempfile"): "5 ms, and only where there is no memfd",
    (
        "worker/worker.py",
        "umbel.worker.services.health",
    ): "http.server takes 10 ms, and few are probed",
}

Function = ast.FunctionDef | ast.AsyncFunctionDef

MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    """The path inside the package, for test ids and for the tables above."""
    return path.relative_to(PACKAGE).as_posix()


every_module = pytest.mark.parametrize("path", MODULES, ids=name_of)


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def functions_of(path: Path) -> Iterator[Function]:
    return (node for node in ast.walk(tree_of(path)) if isinstance(node, Function))


def imports_inside_functions() -> Iterator[tuple[str, str]]:
    for path in MODULES:
        for function in functions_of(path):
            for node in ast.walk(function):
                if isinstance(node, ast.Import):
                    yield from ((name_of(path), alias.name) for alias in node.names)
                elif isinstance(node, ast.ImportFrom):
                    yield name_of(path), "." * node.level + (node.module or "")
                elif isinstance(node, ast.Call) and (name := imported_by_call(node)):
                    yield name_of(path), name


def imported_by_call(call: ast.Call) -> str | None:
    """``"yaml"`` for ``import_module("yaml")``; None for other calls and names found at run time."""
    function = call.func
    called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if called not in ("import_module", "__import__") or not call.args:
        return None
    argument = call.args[0]
    fixed = isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    return argument.value if fixed else None


@every_module
def test_a_file_has_at_most_400_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


@every_module
def test_a_function_has_at_most_60_lines(path: Path) -> None:
    lengths = {
        f"{node.name} (line {node.lineno})": (node.end_lineno or node.lineno) - node.lineno + 1
        for node in functions_of(path)
    }

    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FUNCTION} == {}


@every_module
def test_a_module_says_what_it_holds(path: Path) -> None:
    tree = tree_of(path)
    if path.name == "__init__.py" and not tree.body:
        return

    assert (ast.get_docstring(tree) or "").strip()


@every_module
def test_a_name_says_something(path: Path) -> None:
    assert EMPTY_NAMES.isdisjoint(
        part.removesuffix(".py") for part in path.relative_to(PACKAGE).parts
    )


def test_imports_stand_at_the_top_except_the_listed_ones() -> None:
    found = set(imports_inside_functions())

    assert found - LAZY_IMPORTS.keys() == set(), "move them to the top, or list them with a reason"


def test_the_list_of_lazy_imports_has_no_stale_entries() -> None:
    assert LAZY_IMPORTS.keys() - set(imports_inside_functions()) == set()
