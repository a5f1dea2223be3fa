"""The connection of an event loop: Unix sockets, TLS, passwords, refusals."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess

import pytest
from tests.servers import free_port, redis_server

from umbel.drivers.redis import Refused, read_address
from umbel.drivers.redis.async_link import AsyncLink
from umbel.exceptions import ConnectionLost, OperationalError

pytestmark = pytest.mark.redis


async def keep_large(url, options=None) -> int:
    link = AsyncLink(read_address(url, options))
    await link.call("SET", "key", os.urandom(300_000))
    return len(await link.call("GET", "key"))


def test_a_unix_socket_with_a_password_and_a_database(tmp_path):
    path = tmp_path / "redis.sock"
    with redis_server(options=["--unixsocket", str(path)], password="pw") as server:
        url = f"redis+socket://:pw@{path}?virtual_host=3"
        assert asyncio.run(keep_large(url)) == 300_000
        assert asyncio.run(keep_large(url, {"protocol": 2})) == 300_000
        assert server.call("STRLEN", "key", db=3) == 300_000


def test_a_wrong_password_is_an_error_that_does_not_show_it(tmp_path):
    with redis_server(password="pw") as server:
        url = server.url.replace(":pw@", ":secret@")
        for protocol in (2, 3):
            with pytest.raises(OperationalError, match="does not accept") as caught:
                asyncio.run(keep_large(url, {"protocol": protocol}))
            assert "secret" not in str(caught.value)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_tls_is_checked_unless_told_otherwise(tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*made, *subject, *files], check=True, capture_output=True)
    port = free_port()
    options = [
        *("--tls-port", str(port), "--tls-cert-file", str(certificate)),
        *("--tls-key-file", str(key), "--tls-auth-clients", "no"),
    ]
    with redis_server(options=options):
        for query in ("ssl_cert_reqs=none", f"ssl_ca_certs={certificate}"):
            assert asyncio.run(keep_large(f"rediss://127.0.0.1:{port}/1?{query}")) == 300_000
        with pytest.raises(ConnectionLost, match=r"(?i)certificate"):
            asyncio.run(keep_large(f"rediss://127.0.0.1:{port}/1"))


def test_a_refusal_disturbs_no_other_task(server):
    async def ask():
        link = AsyncLink(read_address(server.url))
        asked = [link.call("INCR", "n") for _ in range(5)]
        asked[2:2] = [link.call("NOSUCH"), link.pipeline([("GET", "n"), ("LPUSH", "n", 1)])]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert isinstance(answers[2], Refused)
        assert isinstance(answers[3], Refused)
        assert answers[:2] + answers[4:] == [1, 2, 3, 4, 5]
        assert link.connected

    asyncio.run(ask())


def test_an_idle_connection_that_died_is_replaced(server):
    async def ask():
        link = AsyncLink(
            read_address(server.url, {"health_check_interval": 0.01, "socket_timeout": 0.4})
        )
        first = await link.call("CLIENT", "ID")
        await asyncio.sleep(0.05)
        assert await link.call("CLIENT", "ID") == first
        server.freeze()
        try:
            with pytest.raises(ConnectionLost, match="in time"):
                await link.call("PING")
        finally:
            server.thaw()
        assert await link.call("CLIENT", "ID") != first

    asyncio.run(ask())
