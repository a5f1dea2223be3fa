"""Starting again under gevent: its patches must come before everything else is imported.

Whatever was typed (``umbel``, ``python -m umbel``, ``manage.py umbel``) has imported half of the
program by the time that ``-P gevent`` is read. So the process replaces itself by one that patches
first and then runs the same command.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from umbel.exceptions import ImproperlyConfigured

__all__ = ["restart_patched"]

#: Arguments: the first entry of the module search path, the script, what the user typed.
_PROGRAM = """\
from gevent import monkey
monkey.patch_all()
import runpy, sys
sys.path[0] = sys.argv[1]
sys.argv[:] = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def restart_patched(arguments: Sequence[str]) -> None:
    """Return when gevent has patched this process; else replace it by one that is patched.
    ``arguments``: as ``sys.argv``."""
    if find_spec("gevent") is None:
        raise ImproperlyConfigured("-P gevent needs gevent: pip install 'umbel[gevent]'")
    patched = sys.modules.get("gevent.monkey")
    if patched is not None and patched.is_module_patched("socket"):
        return
    sys.stdout.flush()
    sys.stderr.flush()
    flags = sys.orig_argv[1 : len(sys.orig_argv) - len(arguments)]
    if flags and flags[-1] == "-m":  # ``-m umbel`` counts as one argument
        flags.pop()
    os.execv(  # noqa: S606 - the same program, the same arguments
        sys.executable, [sys.executable, *flags, "-c", _PROGRAM, sys.path[0], *arguments]
    )
