"""Whether a worker lives and is ready, asked from elsewhere."""

from __future__ import annotations

import socket
import subprocess
from contextlib import closing

from tests.deployment import ROOT, await_true

from umbel.worker.services.health import probe


def test_probes_are_answered_on_a_port(deploy):
    deployment = deploy()
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = deployment.command("worker", "-c", "1", "--health-port", str(port))
    process = subprocess.Popen(command, env=deployment.env, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        await_true(lambda: probe(f"127.0.0.1:{port}", "/ready", 2.0) == 200, 20)
        assert probe(f"127.0.0.1:{port}", "/live", 2.0) == 200
    finally:
        process.terminate()
        assert process.wait(20) == 0
