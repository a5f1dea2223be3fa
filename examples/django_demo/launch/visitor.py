"""Uses the site over HTTP as a browser would: forms with their CSRF token, cookies, polling."""

from __future__ import annotations

import http.cookiejar
import json
import time
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from launch.children import Child

__all__ = ["JobFailed", "Visitor", "wait_for_answer"]

_INTERVAL = 0.4
_CHUNK = 1 << 20


class JobFailed(Exception):
    """The site said that the file could not be analysed."""


def wait_for_answer(url: str, child: Child, deadline: float) -> None:
    """Until the child answers there; ChildFailed when it ends or takes too long."""
    while time.monotonic() < deadline:
        child.check()
        try:
            with _open_directly().open(url, timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    child.fail(f"did not answer at {url} in time")


def _open_directly(*handlers: urllib.request.BaseHandler) -> urllib.request.OpenerDirector:
    """Without a proxy: the site is on this machine."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), *handlers)


class Visitor:
    """One visitor of the site at ``address``."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._cookies = http.cookiejar.CookieJar()
        self._opener = _open_directly(urllib.request.HTTPCookieProcessor(self._cookies))

    def use_sample(self) -> str:
        """Press the button for the sample; the address of the job's page."""
        form = urllib.parse.urlencode({"csrfmiddlewaretoken": self._token()})
        return self._post("sample/", form.encode(), "application/x-www-form-urlencoded")

    def upload(self, path: Path) -> str:
        """Send a file with the form; the address of the job's page."""
        name = path.name.replace('"', "%22")  # as browsers do
        boundary = uuid.uuid4().hex
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="csrfmiddlewaretoken"\r\n\r\n'
            f"{self._token()}\r\n--{boundary}\r\nContent-Disposition: form-data; "
            f'name="file"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        tail = f"\r\n--{boundary}--\r\n".encode()
        with path.open("rb") as source:
            return self._post(
                "upload/",
                _join(head, source, tail),
                f"multipart/form-data; boundary={boundary}",
                length=len(head) + path.stat().st_size + len(tail),
            )

    def follow(self, url: str, deadline: float) -> Iterator[dict[str, Any]]:
        """What the job's page sees, until the job has ended. JobFailed when it ended badly."""
        while time.monotonic() < deadline:
            with self._opener.open(f"{url}state.json", timeout=10) as answer:
                state: dict[str, Any] = json.load(answer)
            if "error" in state:
                raise JobFailed(state["error"])
            yield state
            if state["ready"]:
                return
            time.sleep(_INTERVAL)
        raise TimeoutError("the analysis did not end in time")

    def _token(self) -> str:
        with self._opener.open(self._address, timeout=10):
            return next(str(cookie.value) for cookie in self._cookies if cookie.name == "csrftoken")

    def _post(
        self, path: str, body: bytes | Iterator[bytes], content_type: str, length: int | None = None
    ) -> str:
        request = urllib.request.Request(self._address + path, body)
        request.add_header("Content-Type", content_type)
        if length is not None:
            request.add_header("Content-Length", str(length))
        with self._opener.open(request, timeout=30) as answer:
            return str(answer.url)


def _join(head: bytes, source: IO[bytes], tail: bytes) -> Iterator[bytes]:
    yield head
    while chunk := source.read(_CHUNK):
        yield chunk
    yield tail
