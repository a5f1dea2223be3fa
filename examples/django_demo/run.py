"""Starts the demonstration: the database, the web server and a worker, and stops them together.

    python run.py              prints the address and runs until Ctrl-C
    python run.py --once       no person needed: analyses the sample, prints the report, ends

It needs no service and writes only into ``data/`` beside it (``--once``: a temporary directory).
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from urllib.error import URLError

from analysis.summary import summarize
from launch.children import Child, ChildFailed, run_to_end
from launch.visitor import JobFailed, Visitor, wait_for_answer

HERE = Path(__file__).resolve().parent
START_TIMEOUT = 30.0
ONCE_TIMEOUT = 60.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(Exception):
    """Somebody asked the demonstration to end."""


def main() -> int:
    options = parse_arguments()
    for number in STOP_SIGNALS:
        signal.signal(number, stop)
    try:
        return run_once(options) if options.once else run_for_people(options)
    except Stopped:
        return 130
    except (ChildFailed, JobFailed, TimeoutError, URLError) as error:
        print(f"The demonstration failed: {error}", file=sys.stderr)
        return 1


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run Umbel's Django demonstration.")
    parser.add_argument(
        "--once", action="store_true", help="analyse one file, print the report and end"
    )
    parser.add_argument(
        "--file", type=Path, help="with --once: upload this file instead of using the sample"
    )
    parser.add_argument(
        "--port",
        type=int,
        help="port of the web server (default: 8000 if it is free; 0: any free one)",
    )
    options = parser.parse_args()
    if options.file is not None and not options.once:
        parser.error("--file needs --once")
    if options.file is not None and not options.file.is_file():
        parser.error(f"there is no file {options.file}")
    return options


def stop(_number: int, _frame: FrameType | None) -> None:
    # A second signal while the children are being stopped changes nothing.
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise Stopped


def run_for_people(options: argparse.Namespace) -> int:
    port = find_port(preferred=8000) if options.port is None else options.port or find_port()
    with running(Path(os.environ.get("DEMO_DATA_DIR", HERE / "data")), port, quiet=False) as (
        address,
        children,
    ):
        try:
            print(
                f"\n  The demonstration runs at {address}\n"
                "  Open it in a browser, upload a log or a table, or use the sample.\n"
                "  Ctrl-C here stops the web server and the worker.\n",
                flush=True,
            )
            while True:
                for child in children:
                    child.check()
                time.sleep(0.2)
        except Stopped:
            print("\nStopping…", flush=True)
    print("The web server and the worker have stopped.")
    return 0


def run_once(options: argparse.Namespace) -> int:
    deadline = time.monotonic() + ONCE_TIMEOUT
    with (
        tempfile.TemporaryDirectory(prefix="umbel-demo-") as directory,
        running(Path(directory), options.port or find_port(), quiet=True) as (address, children),
    ):
        visitor = Visitor(address)
        url = visitor.use_sample() if options.file is None else visitor.upload(options.file)
        print(f"Sent; the web server answered at once with {url}", flush=True)
        for state in visitor.follow(url, deadline):
            for child in children:
                child.check()
            if "report" in state:
                print(f"\n{summarize(state['report'])}")
                return 0
            percent = "" if state["percent"] is None else f" {state['percent']} %"
            print(f"{state['state']}: {state['step']}{percent}", flush=True)
    return 0


@contextmanager
def running(data: Path, port: int, *, quiet: bool) -> Iterator[tuple[str, tuple[Child, Child]]]:
    """The address of a web server that answers, with a worker that is ready; both end with it."""
    environment = os.environ | {
        "DEMO_DATA_DIR": str(data),
        "DJANGO_SETTINGS_MODULE": "demo.settings",
        "PYTHONUNBUFFERED": "1",
    }
    manage = [sys.executable, str(HERE / "manage.py")]
    run_to_end([*manage, "migrate", "-v", "0"], environment)
    address = f"http://127.0.0.1:{port}/"
    health = f"127.0.0.1:{find_port()}"
    work = [*manage, "celery", "worker", "-c", "2", "-l", "INFO", "--health", health]
    web = Child("web", [*manage, "runserver", "--noreload", f"127.0.0.1:{port}"], environment)
    with web, Child("worker", work, environment) as worker:
        for child in (web, worker):
            child.listen(quiet=quiet)
        deadline = time.monotonic() + START_TIMEOUT
        wait_for_answer(address, web, deadline)
        wait_for_answer(f"http://{health}/ready", worker, deadline)
        yield address, (web, worker)


def find_port(preferred: int = 0) -> int:
    """The preferred port if nobody uses it, else any free one."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", preferred))
        except OSError:
            return find_port()
        port: int = listener.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main())
