"""Who may import whom: the contracts of ``[tool.importlinter]`` in pyproject.toml, and one that
import-linter has no words for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[2]
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")

#: These stand above the whole package, as a user's program does.
FACES = ("umbel.__main__", "umbel.cli", "umbel.django", "umbel.compat", "umbel.testing")


def test_the_imports_keep_every_contract(tmp_path: Path) -> None:
    lint = subprocess.run(
        [LINT_IMPORTS, "--no-logo", "--cache-dir", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert lint.returncode == 0, lint.stdout + lint.stderr
    assert " 0 broken" in lint.stdout


def test_nothing_below_the_faces_imports_from_the_package_root() -> None:
    graph = grimp.build_graph("umbel", exclude_type_checking_imports=True, cache_dir=None)

    importers = graph.find_modules_that_directly_import("umbel")

    below = sorted(name for name in importers if not name.startswith(FACES))
    assert below == [], "import the module that defines the name, not the package root"
