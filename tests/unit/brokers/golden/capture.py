"""Writes the golden samples: what real Celery tells over Redis, byte for byte.

Run by hand with a Python that has Celery and redis-py: ``python capture.py``. It starts a private
redis-server, has Celery send a control command, a reply and events, and keeps the envelopes as they
were published or pushed. The tests read the files; nothing imports this.
"""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from pathlib import Path

import celery
import redis

HERE = Path(__file__).parent
ID = "11111111-2222-4333-8444-555555555555"
NODE = "w1@example"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def told(pubsub, action) -> bytes:
    """What is published meanwhile."""
    action()
    while True:
        answer = pubsub.get_message(timeout=5)
        assert answer is not None
        if answer["type"] == "pmessage":
            return answer["data"]


def capture(app: celery.Celery, client: redis.Redis) -> dict[str, bytes]:
    pubsub = client.pubsub()
    pubsub.psubscribe("/0.*")
    mailbox = app.control.mailbox(app.connection())
    mailbox.reply_queue(mailbox.connection.default_channel).declare()
    samples = {"ping": told(pubsub, lambda: app.control.ping(timeout=0.1))}
    samples["revoke"] = told(pubsub, lambda: app.control.revoke(ID))
    node = mailbox.Node(NODE, channel=mailbox.connection.default_channel)
    node.reply({NODE: {"ok": "pong"}}, "reply.celery.pidbox", mailbox.oid, ID)
    samples["reply"] = client.lrange(f"{mailbox.oid}.reply.celery.pidbox", 0, -1)[0]
    (samples["binding"],) = client.smembers("_kombu.binding.reply.celery.pidbox")
    samples["oid"] = mailbox.oid.encode()
    with app.connection() as connection:
        events = app.events.Dispatcher(connection, hostname=NODE, buffer_group={"task"})
        samples["event"] = told(pubsub, lambda: events.send("worker-online", freq=2.0))
        events.send("task-received", uuid=ID, name="proj.add")
        events.send("task-started", uuid=ID)
        samples["events"] = told(pubsub, events.flush)
    return samples


def main() -> None:
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder],
            stdout=subprocess.DEVNULL,
        )
        try:
            client = redis.Redis(port=port)
            while True:
                try:
                    client.ping()
                    break
                except redis.exceptions.ConnectionError:
                    time.sleep(0.02)
            app = celery.Celery("proj", broker=f"redis://127.0.0.1:{port}/0", set_as_current=False)
            for name, raw in capture(app, client).items():
                (HERE / f"{name}.golden").write_bytes(raw)
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
