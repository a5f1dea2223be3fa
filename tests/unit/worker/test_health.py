"""Answers to probes, also to those that do not wait for them."""

from __future__ import annotations

import socket
import threading

import pytest

from umbel.worker.services.health import Health, probe


@pytest.fixture
def serve(tmp_path):
    """``serve(ready)`` answers on a unix socket."""
    services = []

    def start(ready):
        service = Health(str(tmp_path / "health.sock"), ready)
        services.append(service)
        service.start()
        return service

    yield start
    for service in services:
        service.stop()
        service.join(5)


def test_a_probe_hears_whether_the_worker_is_ready_and_that_it_lives(serve):
    answers = [True, False]
    service = serve(lambda: answers.pop(0))

    assert [probe(service.address) for _ in range(2)] == [200, 503]
    assert probe(service.address, "/live") == 200
    assert probe(service.address, "/else") == 404


def test_an_answer_comes_in_one_piece(serve):
    service = serve(lambda: True)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(service.address)
        connection.sendall(b"GET /ready HTTP/1.0\r\n\r\n")

        assert connection.recv(4096).endswith(b'{"status": "ready"}')


def test_a_probe_that_has_gone_before_its_answer_is_not_worth_a_word(serve, capfd, caplog):
    asked, gone, ended = threading.Event(), threading.Event(), threading.Event()

    def ready():
        asked.set()
        gone.wait(5)
        return True

    service = serve(ready)
    shut = service.server.shutdown_request

    def shutdown_request(request):
        shut(request)
        ended.set()

    service.server.shutdown_request = shutdown_request
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(service.address)
        connection.sendall(b"GET /ready HTTP/1.0\r\n\r\n")
        assert asked.wait(5)
    gone.set()

    assert ended.wait(5)
    assert capfd.readouterr().err == ""
    assert caplog.records == []
