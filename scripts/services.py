"""Makes sure that the server programs which the tests run, and the browser, are installed.

The tests start private instances of these programs themselves, on free ports and in temporary
directories; this script never starts or stops a service. A missing program is installed with apt
where that works without a password. Otherwise its tests are skipped with the reason, except that
with CI=true this script fails, because a skipped test proves nothing.

Needs nothing but the standard library. To add a server: one line in ``SERVERS``, one marker of the
same name in pyproject.toml.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

#: Where Debian keeps server programs that are not on everybody's PATH.
EXTRA_FOLDERS = ("/usr/local/sbin", "/usr/sbin")


@dataclass(frozen=True)
class Server:
    """A server program, or a browser, that tests start."""

    #: The pytest marker of the tests that need it.
    marker: str
    program: str
    #: The Debian package that brings it.
    package: str

    def find(self) -> str | None:
        """The path of the program, or None."""
        path = os.pathsep.join([os.environ.get("PATH", os.defpath), *EXTRA_FOLDERS])
        return shutil.which(self.program, path=path)


SERVERS = (
    Server(marker="redis", program="redis-server", package="redis-server"),
    Server(marker="chromium", program="chromium", package="chromium"),
)


def strict() -> bool:
    """Whether a missing server is an error here."""
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def missing() -> list[Server]:
    """The servers whose program is not installed."""
    return [server for server in SERVERS if server.find() is None]


def install(servers: list[Server]) -> None:
    """Try apt; what went wrong is on standard error already."""
    script = Path(__file__).with_name("apt-install.sh")
    subprocess.run([script, *(server.package for server in servers)], check=False)


def main() -> int:
    absent = missing()
    if absent:
        print("services: installing", ", ".join(server.package for server in absent), flush=True)
        install(absent)
    for server in SERVERS:
        path = server.find()
        outcome = path or f"missing; tests marked '{server.marker}' cannot run"
        print(f"services: {server.program}: {outcome}")
    return 1 if missing() and strict() else 0


if __name__ == "__main__":
    sys.exit(main())
