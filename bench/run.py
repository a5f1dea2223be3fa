"""The benchmark: the same work, in one run, for Umbel, for bare loops and for its peers.

    python bench/run.py [--rounds 3] [--count 20000] [--only redis|sqlite] [--quick]

Peers (Celery, huey) are measured where ``.venv-bench`` exists (`make bench` creates it). Every drain
checks that each task ran exactly once. Results: ``bench/results/latest.json`` and a table.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import machine  # noqa: E402 - the path is set above
from bench.ledger import Ledger  # noqa: E402
from bench.subjects import bare_message, bare_redis, bare_sqlite  # noqa: E402

OURS = str(ROOT / ".venv/bin/python")
PEERS = ROOT / ".venv-bench/bin"
Figures = dict[str, dict[str, list[float]]]


class Bench:
    """One kind of server, all subjects, one round after the other."""

    def __init__(self, kind: str, count: int, quick: bool) -> None:
        self.kind = kind
        self.count = count
        self.quick = quick
        self.figures: Figures = defaultdict(lambda: defaultdict(list))
        self.folder = Path(tempfile.mkdtemp(prefix="umbel-bench-"))
        self.url = ""
        self.fresh = 0

    def subjects(self) -> list[str]:
        names = ["umbel"]
        if PEERS.exists() and not self.quick:
            names += ["celery", "huey"] if self.kind == "redis" else ["huey"]
        return names

    def round(self) -> None:
        """Everything once, each measurement on an empty server."""
        self.bare()
        for name in self.subjects():
            self.enqueue(name)
            for results in (False, True):
                self.drain(name, results)
            self.idle(name)

    # Surroundings -----------------------------------------------------------------------------

    def renew(self) -> None:
        """An empty server or file."""
        self.fresh += 1
        if self.kind == "redis":
            bare_redis.redis.Redis.from_url(self.url).flushall()
        else:
            self.url = f"sqlite:///{self.folder}/bench-{self.fresh}.sqlite3"

    def env(self, ledger: Path | None = None, results: bool = True) -> dict[str, str]:
        env = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "BENCH_BROKER": self.url,
            "BENCH_BACKEND": self.url,
            "BENCH_RESULTS": str(int(results)),
        }
        if ledger is not None:
            env["BENCH_LEDGER"] = str(ledger)
        return env

    def client(self, name: str, action: str, count: int, results: bool) -> dict[str, float]:
        command = [python(name), "-m", "bench.client", f"{name}_app", action, str(count)]
        done = subprocess.run(
            [*command, str(int(results))],
            env=self.env(results=results), cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{name} {action} failed:\n{done.stderr[-2000:]}")
        return json.loads(done.stdout.strip().splitlines()[-1])

    # Measurements --------------------------------------------------------------------------------

    def enqueue(self, name: str) -> None:
        row = self.figures[name]
        self.renew()
        count = 2000 if self.quick else 5000
        row["enqueue/s"].append(self.client(name, "one", count, results=False)["per_second"])
        if name != "huey":
            self.renew()
            count = self.count if name == "umbel" else self.count // 4
            found = self.client(name, "bulk", count, results=False)
            row["bulk enqueue/s"].append(found["per_second"])

    def drain(self, name: str, results: bool) -> None:
        """Workers start on a full queue; the rate is from the first run to the last."""
        self.renew()
        count = self.count if name == "umbel" else self.count // 4
        self.client(name, "bulk" if name == "umbel" else "fill", count, results)
        ledger = Ledger(path := self.folder / f"ledger-{self.fresh}", count)
        began = time.time()
        with machine.process(worker(name), self.env(path, results)) as started:
            await_runs(ledger, count)
            time.sleep(0.3)  # the last settlements
            cpu = machine.cpu_seconds(started.pid)
        check(ledger, name)
        row = self.figures[name]
        label = "drain/s, results" if results else "drain/s"
        row[label].append(count / ledger.span())
        if results:
            row["CPU us/task"].append(cpu / count * 1e6)
            row["first task s"].append(ledger.first() - began)

    def idle(self, name: str) -> None:
        """Round trips on an idle system; then CPU and memory of a worker with nothing to do."""
        self.renew()
        with machine.process(worker(name), self.env()) as started:
            found = self.client(name, "latency", 200 if self.quick else 1000, results=True)
            time.sleep(2)
            before, began = machine.cpu_seconds(started.pid), time.monotonic()
            time.sleep(4 if self.quick else 10)
            spent = machine.cpu_seconds(started.pid) - before
            row = self.figures[name]
            row["idle CPU %"].append(100 * spent / (time.monotonic() - began))
            row["PSS MB"].append(machine.pss_megabytes(started.pid))
        row["round trip p50 ms"].append(found["p50_ms"])
        row["round trip p99 ms"].append(found["p99_ms"])
        if name == "umbel":
            self.cold_start(name)

    def cold_start(self, name: str) -> None:
        """From the command to the first task, a single one waiting."""
        self.renew()
        self.client(name, "fill", 1, results=True)
        ledger = Ledger(path := self.folder / f"ledger-{self.fresh}", 1)
        began = time.time()
        with machine.process(worker(name), self.env(path)):
            await_runs(ledger, 1)
        self.figures[name]["cold start s"].append(ledger.first() - began)

    def bare(self) -> None:
        """The same work by programs without a task queue in them."""
        for results in (False, True):
            self.bare_drain(results)
        self.bare_enqueue("bare loop", bare_message.make)
        # The strictest limit: nothing is made, only bytes that exist already are moved.
        ready = [bare_message.make(number) for number in range(self.count)]
        self.bare_enqueue("bare loop, ready bytes", ready.__getitem__)

    def bare_drain(self, results: bool) -> None:
        self.renew()
        payloads = [bare_message.make(number) for number in range(self.count)]
        if self.kind == "redis":
            client = bare_redis.redis.Redis.from_url(self.url)
            for start in range(0, self.count, 1000):
                client.lpush("celery", *payloads[start : start + 1000])
        else:
            bare_sqlite.fill(self.place, payloads)
        ledger = Ledger(path := self.folder / f"ledger-{self.fresh}", self.count)
        command = [OURS, "-m", self.bare_module.__name__, self.place, str(int(results))]
        env = self.env(path)
        for loop in [subprocess.Popen(command, env=env, cwd=ROOT) for _ in range(2)]:
            loop.wait()
        check(ledger, "bare loop")
        label = "drain/s, results" if results else "drain/s"
        self.figures["bare loop"][label].append(self.count / ledger.span())

    def bare_enqueue(self, name: str, make: Callable[[int], bytes]) -> None:
        row, module = self.figures[name], self.bare_module
        for label, push, count in (
            ("enqueue/s", module.push_one_by_one, min(self.count, 5000)),
            ("bulk enqueue/s", module.push_bulk, self.count),
        ):
            self.renew()
            if self.kind == "sqlite":
                bare_sqlite.fill(self.place, [])
            push(self.place, make, 1000)
            began = time.perf_counter()
            push(self.place, make, count)
            row[label].append(count / (time.perf_counter() - began))

    @property
    def bare_module(self) -> ModuleType:
        return bare_redis if self.kind == "redis" else bare_sqlite

    @property
    def place(self) -> str:
        """What a bare loop connects to."""
        return self.url if self.kind == "redis" else self.url.removeprefix("sqlite:///")


def python(name: str) -> str:
    return OURS if name == "umbel" else str(PEERS / "python")


def worker(name: str) -> list[str]:
    if name == "umbel":
        return [OURS, "-m", "umbel", "-A", "bench.subjects.umbel_app", "worker", "-c", "2"]
    if name == "celery":
        return [
            str(PEERS / "celery"), "-A", "bench.subjects.celery_app", "worker",
            "-c", "2", "-P", "prefork",
        ]  # fmt: skip
    consumer = str(PEERS / "huey_consumer")
    return [consumer, "bench.subjects.huey_app.huey", "-w", "2", "-k", "process", "-q"]


def await_runs(ledger: Ledger, count: int) -> None:
    end = time.monotonic() + 120
    while ledger.done() < count:
        if time.monotonic() > end:
            raise RuntimeError(f"only {ledger.done()} of {count} tasks ran within 120 s")
        time.sleep(0.02)


def check(ledger: Ledger, name: str) -> None:
    if ledger.wrong():
        raise RuntimeError(f"{name}: {ledger.wrong()} tasks did not run exactly once")


def table(kind: str, figures: dict[str, dict[str, float]]) -> str:
    """A Markdown table, one row a subject."""
    columns: list[str] = []
    for row in figures.values():
        columns += [label for label in row if label not in columns]
    lines = [
        f"\n### {kind}\n",
        f"| subject | {' | '.join(columns)} |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for name, row in figures.items():
        cells = [_cell(row[column]) if column in row else "" for column in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(value: float) -> str:
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=40_000)
    parser.add_argument("--only", choices=("redis", "sqlite"))
    parser.add_argument("--quick", action="store_true", help="no peers, shorter")
    options = parser.parse_args()
    results: dict[str, dict[str, dict[str, float]]] = {}
    for kind in [options.only] if options.only else ["redis", "sqlite"]:
        bench = Bench(kind, options.count, options.quick)
        if kind == "redis":
            with machine.redis_server() as url:
                bench.url = url
                for _ in range(options.rounds):
                    bench.round()
        else:
            for _ in range(options.rounds):
                bench.round()
        medians = {
            name: {label: statistics.median(values) for label, values in row.items()}
            for name, row in bench.figures.items()
        }
        results[kind] = medians
        print(table(kind, medians), flush=True)
    folder = ROOT / "bench/results"
    folder.mkdir(exist_ok=True)
    facts = {"python": platform.python_version(), "cores": os.cpu_count(), "rounds": options.rounds}
    (folder / "latest.json").write_text(json.dumps({"machine": facts, **results}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
