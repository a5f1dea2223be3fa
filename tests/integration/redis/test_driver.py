"""Addresses and single connections: what a URL means, and what a connection does when it breaks."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
import warnings

import pytest
from tests.servers import redis_server

from umbel.drivers.redis import Link, Pool, Refused, Script, read_address
from umbel.exceptions import ConnectionLost, ImproperlyConfigured, OperationalError, UmbelWarning

pytestmark = pytest.mark.redis

ECHO = Script("echo", "return {KEYS[1], ARGV[1]}")


# Addresses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "fields"),
    [
        ("redis://", {"host": "localhost", "port": 6379, "db": 0}),
        ("redis://example.org", {"host": "example.org", "port": 6379, "db": 0}),
        ("redis://:p%40ss%2F@h:7/3", {"host": "h", "port": 7, "db": 3, "password": "p@ss/"}),
        ("redis://me:secret@[::1]:7/", {"host": "::1", "username": "me", "password": "secret"}),
        ("redis://h/0?db=4&client_name=web", {"db": 4, "client_name": "web"}),
        ("redis://h?socket_timeout=3&socket_keepalive=no", {"timeout": 3.0, "keepalive": False}),
        ("redis+socket:///run/redis.sock?virtual_host=2", {"path": "/run/redis.sock", "db": 2}),
        ("unix://:pw@/run/redis.sock?db=2", {"path": "/run/redis.sock", "db": 2, "password": "pw"}),
        ("rediss://h?ssl_cert_reqs=CERT_NONE", {"tls": {"ssl_cert_reqs": "CERT_NONE"}}),
    ],
)
def test_a_url_means_what_it_means_to_celery(url, fields):
    address = read_address(url)
    assert {name: getattr(address, name) for name in fields} == fields


def test_options_win_over_the_url():
    address = read_address(
        "redis://h/1?socket_timeout=3",
        {
            "socket_timeout": 5,
            "global_keyprefix": "shop:",
            "ssl": {"ssl_ca_certs": "ca.pem"},
            "visibility_timeout": 3600,
            "username": None,
        },
    )
    assert (address.timeout, address.prefix, address.db) == (5.0, "shop:", 1)
    assert address.tls == {"ssl_ca_certs": "ca.pem"}


@pytest.mark.parametrize(
    ("url", "options", "told"),
    [
        ("rediz://h", {}, "there is no scheme 'rediz'; did you mean 'redis'"),
        ("redis://h/one", {}, "a database is a number such as /0, not 'one'"),
        ("redis://:geheim@h:port/0", {}, r"Cannot read the Redis URL 'redis://:\*\*@h:port/0'"),
        ("redis://:ge/heim@h:1/0", {}, "percent-encode special characters"),
        ("redis+socket://", {}, "it names no socket file"),
        ("redis://:geheim@h", {"socket_timeout": "soon"}, "socket_timeout = 'soon'"),
        ("redis://h", {"max_connections": 0}, "max_connections = 0 .* at least 1"),
        ("redis://h", {"protocol": 4}, "it must be 2 or 3"),
    ],
)
def test_a_url_that_cannot_work_says_why_and_hides_the_password(url, options, told):
    with pytest.raises(ImproperlyConfigured, match=told) as caught:
        read_address(url, options)
    assert "heim" not in str(caught.value)


def test_a_slip_in_an_options_name_is_told_and_foreign_names_are_not():
    with pytest.warns(UmbelWarning, match="did you mean 'socket_timeout'"):
        read_address("redis://h", {"socket_timout": 3})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_address("redis://h", {"visibility_timeout": 3, "region": "eu"})


def test_a_password_is_neither_in_the_shown_url_nor_in_a_repr():
    address = read_address("redis://me:geheim@h:1/2")
    assert address.url == "redis://me:**@h:1/2"
    assert "geheim" not in repr(address) + repr(Link(address)) + str(address)


def test_two_urls_of_one_server_are_known_as_such():
    assert read_address("redis://localhost/0").server == read_address("redis://127.0.0.1/1").server
    assert read_address("redis://a/0").server != read_address("redis://b/0").server
    assert read_address("redis://a:1").server != read_address("redis://a:2").server


# Connections --------------------------------------------------------------------------------------


@pytest.fixture
def link(server, opened):
    made = Link(read_address(server.url))
    opened.callback(made.close)
    return made


def test_a_unix_socket_works_like_tcp(tmp_path, opened):
    path = tmp_path / "redis.sock"
    with redis_server(options=["--unixsocket", str(path)], password="pw") as server:
        link = Link(read_address(f"redis+socket://:pw@{path}?virtual_host=3"))
        opened.callback(link.close)
        link.call("SET", "key", "value")
        assert server.call("GET", "key", db=3) == b"value"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_tls_is_checked_unless_told_otherwise(tmp_path, opened):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*made, *subject, *files], check=True, capture_output=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = [
        *("--tls-port", str(port), "--tls-cert-file", str(certificate)),
        *("--tls-key-file", str(key), "--tls-auth-clients", "no"),
    ]
    with redis_server(options=options) as server:
        for query in ("ssl_cert_reqs=none", f"ssl_ca_certs={certificate}"):
            link = Link(read_address(f"rediss://127.0.0.1:{port}/1?{query}"))
            opened.callback(link.close)
            link.call("SET", "key", os.urandom(300_000))
            assert len(link.call("GET", "key")) == 300_000
            link.take_pushed()
        assert server.call("STRLEN", "key", db=1) == 300_000
        strict = Link(read_address(f"rediss://127.0.0.1:{port}/1"))
        with pytest.raises(ConnectionLost, match=r"(?i)certificate"):
            strict.call("PING")


def test_pushes_that_arrive_between_and_behind_answers_are_all_handed_over(link, server):
    pushed: list[object] = []
    link.on_push = pushed.append
    assert link.listen("news", "PING") == b"PONG"
    for number in range(5):
        server.call("PUBLISH", "news", str(number))
    assert link.wait_readable(5)
    link.take_pushed()
    server.call("PUBLISH", "news", "5")
    assert link.call("ECHO", "x") == b"x"
    link.take_pushed(read=False)
    assert [push[2] for push in pushed if push[0] == b"message"] == [b"%d" % n for n in range(6)]


def test_an_answer_that_takes_too_long_closes_the_connection(server, opened):
    link = Link(read_address(server.url, {"socket_timeout": 0.2}))
    opened.callback(link.close)
    link.call("SET", "key", "right")
    server.freeze()
    try:
        start = time.monotonic()
        with pytest.raises(ConnectionLost, match="No answer from redis://"):
            link.call("GET", "other")
        assert 0.15 < time.monotonic() - start < 0.5
        assert not link.connected
    finally:
        server.thaw()
    assert link.call("GET", "key") == b"right"


def test_an_error_inside_a_pipeline_does_not_disturb_the_order(link):
    with pytest.raises(Refused, match="WRONGTYPE"):
        link.pipeline([("SET", "key", "x"), ("LPUSH", "key", "y"), ("SET", "other", "z")])
    assert link.pipeline([("GET", "key"), ("GET", "other")]) == [b"x", b"z"]
    assert link.pipeline([]) == []


def test_a_script_is_sent_whole_only_once(link, server):
    for _ in range(3):
        assert link.eval(ECHO, ["größe"], [b"\x00\xff"]) == ["größe".encode(), b"\x00\xff"]
    told = server.call("INFO", "commandstats").decode()
    assert "cmdstat_eval:calls=1," in told


def test_an_interrupted_call_does_not_leave_its_answer_to_the_next(link, monkeypatch):
    link.call("SET", "key", "right")

    class Interrupted(BaseException):
        pass

    def interrupt(*_):
        raise Interrupted

    with monkeypatch.context() as patched:
        patched.setattr(link, "_answer", interrupt)
        with pytest.raises(Interrupted):
            link.call("GET", "other")
    assert link.call("GET", "key") == b"right"


def test_a_proxy_that_knows_no_hello_is_spoken_to_in_resp2(server, opened):
    """The proxy answers HELLO as a server that has never heard of it, quoting the arguments."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_refuse_hello, args=(listener, server.port))
        thread.start()
        port = listener.getsockname()[1]
        link = Link(
            read_address(f"redis://127.0.0.1:{port}/2"), setup=[("CLIENT", "TRACKLNG", "ON")]
        )
        opened.callback(link.close)
        link.call("SET", "key", "x")
        assert link.protocol == 2
        assert link.setup_refused is not None
        link.close()
        thread.join(10)
    assert server.call("GET", "key", db=2) == b"x"


def test_what_is_no_redis_server_is_told(opened):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def greet():
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"220 mail.example.org ESMTP\r\n")
                connection.recv(1000)

        thread = threading.Thread(target=greet)
        thread.start()
        link = Link(read_address(f"redis://127.0.0.1:{port}/0"))
        opened.callback(link.close)
        with pytest.raises(OperationalError, match="does not speak Redis"):
            link.call("PING")
        thread.join(10)


def test_a_connection_that_was_idle_for_long_is_tried_before_it_is_trusted(server, opened):
    pool = Pool(read_address(server.url, {"health_check_interval": 0.05}))
    opened.callback(pool.clear)
    pool.call("SET", "key", "x")
    server.freeze()
    try:
        time.sleep(0.1)
        link = pool.take(time.monotonic() + 0.3)
        pool.trust(link)
        assert not link.connected
        pool.give(link)
    finally:
        server.thaw()
    assert pool.call("GET", "key") == b"x"


def _refuse_hello(listener: socket.socket, port: int) -> None:
    client, _ = listener.accept()
    with client, socket.create_connection(("127.0.0.1", port)) as server:
        request = client.recv(65536)
        hello, _, rest = request.partition(b"HELLO\r\n$1\r\n3\r\n")
        assert hello == b"*2\r\n$5\r\n"
        client.sendall(b"-ERR unknown command 'HELLO', with args beginning with: '3' \r\n")
        while rest:
            server.sendall(rest)
            client.sendall(server.recv(65536))
            rest = client.recv(65536)
