"""An app with queues of every kind; configured through the environment, as ``marks`` is."""

import os

from umbel import Broadcast, Exchange, Queue, Umbel

feeds = Exchange("feeds", type="topic")
app = Umbel(
    "routed",
    broker=os.environ["MARKS_BROKER"],
    backend=os.environ.get("MARKS_BACKEND"),
    worker_heartbeat_interval=0.3,
    worker_heartbeat_limit=2.0,
    worker_direct=True,
    task_inherit_parent_priority=True,
    task_queues=[
        Queue("celery"),
        Queue("all", feeds, routing_key="feed.#"),
        Queue("urgent", feeds, routing_key="*.urgent"),
        Queue("mail", Exchange("mail"), routing_key="mail"),
        Broadcast("news"),
    ],
    task_routes={"mail.*": {"queue": "mail"}},
)


def note(line):
    fd = os.open(os.environ["MARKS_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(fd, f"{line}\n".encode())
    finally:
        os.close(fd)


@app.task(bind=True, name="tell")
def tell(self, word=""):
    """Write down which node ran it, and from which exchange it came."""
    info = self.request.delivery_info
    note(f"{self.request.hostname.partition('@')[0]} {info['exchange'] or '-'} {word}")


@app.task(bind=True, name="mail.send")
def send(self):
    return self.request.delivery_info["routing_key"]


@app.task(bind=True, name="urgency")
def urgency(self):
    return self.request.delivery_info["priority"]


@app.task(name="parent")
def parent(**options):
    return urgency.apply_async(**options).id
