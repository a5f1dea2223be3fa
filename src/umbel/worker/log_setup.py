"""Sets up logging for a worker: handlers on standard error or on files, one for each process if
wanted. An application that configured logging itself keeps what it has, untouched.

What is said is ``log.py``; how it looks is ``log_formats.py``.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any

from umbel.signals import after_setup_logger, after_setup_task_logger, setup_logging
from umbel.worker.log_formats import ColorFormatter, JsonFormatter, TaskFormatter

__all__ = ["JSON", "NodeFile", "expand", "name_log_lines", "set_up_logging"]

#: The value of worker_log_format that means one JSON object for each line.
JSON = "json"

_TRACE = "umbel.task.trace"


def expand(template: str, node: str, number: int = 0) -> str:
    """A file name: %n is the node's name up to the @, %h its host, %d the host's domain, %p the
    whole name, %i the number of the process (0: the supervisor), %I the same as -1 or nothing."""
    short, _, host = node.partition("@")
    host = host or socket.gethostname()
    signs = {
        "n": short,
        "h": host,
        "d": host.partition(".")[2],
        "p": node,
        "i": str(number),
        "I": f"-{number}" if number else "",
        "%": "%",
    }
    written = ""
    rest = iter(template)
    for sign in rest:
        following = next(rest, "") if sign == "%" else ""
        written += signs.get(following, sign + following)
    return written


class NodeFile(WatchedFileHandler):
    """Appends to the file of this process. A file that was moved away is made anew (logrotate)."""

    def __init__(self, template: str, node: str) -> None:
        self.template = template
        self.node = node
        path = Path(expand(template, node))
        path.parent.mkdir(parents=True, exist_ok=True)
        super().__init__(path, encoding="utf-8", errors="backslashreplace")

    def belong_to(self, number: int) -> None:
        """From here on, write to the file of this process."""
        path = str(Path(expand(self.template, self.node, number)).absolute())
        if path != self.baseFilename:
            stream, self.baseFilename = self.stream, path
            self.stream = self._open()
            if stream is not None:
                stream.close()
            self.reopenIfNeeded()


_files: list[NodeFile] = []


def set_up_logging(
    level: int,
    *,
    line_format: str,
    task_format: str,
    hijack: bool = True,
    date_format: str | None = None,
    task_date_format: str | None = None,
    color: bool | None = None,
    file: str | None = None,
    node: str = "",
    stream: Any = None,
) -> bool:
    """Log to a file or stderr, unless the application has set up logging itself (or ``hijack`` is
    false): then handlers stay as they are, and False is returned. So it is with a receiver of
    ``setup_logging``."""
    output = stream or sys.stderr
    painted = not file and paints(output, color)
    told = {"loglevel": level, "logfile": file, "format": line_format, "colorize": painted}
    answers = setup_logging.send(sender=None, **told)
    if any(not isinstance(answer, Exception) for _receiver, answer in answers):
        return False
    ours = [logging.getLogger(name) for name in ("umbel", "celery")]
    root = logging.getLogger()
    if not hijack or any(logger.handlers for logger in (root, *ours)):
        for logger in ours:
            if logger.level == logging.NOTSET:
                logger.setLevel(level)
        _tell(task_format, told)
        return False
    lines: logging.Formatter
    tasks: logging.Formatter
    if line_format == JSON:
        lines = tasks = JsonFormatter()
    else:
        lines = ColorFormatter(line_format, date_format, color=painted)
        tasks = TaskFormatter(task_format, task_date_format, color=painted)
    handler: logging.Handler
    if file:
        handler = opened = NodeFile(file, node)
        _files.append(opened)
    else:
        handler = logging.StreamHandler(output)
    handler.setFormatter(_ByLogger(lines, tasks))
    root.addHandler(handler)
    root.setLevel(level)
    _tell(task_format, told)
    return True


def _tell(task_format: str, told: dict[str, Any]) -> None:
    after_setup_logger.send(sender=None, logger=logging.getLogger(), **told)
    tasks = logging.getLogger("umbel.task")
    after_setup_task_logger.send(sender=None, logger=tasks, **{**told, "format": task_format})


class _ByLogger(logging.Formatter):
    """Lines of tasks, which know the task, have a format of their own."""

    def __init__(self, lines: logging.Formatter, tasks: logging.Formatter) -> None:
        super().__init__()
        self.lines = lines
        self.tasks = tasks

    def format(self, record: logging.LogRecord) -> str:
        return (self.tasks if _is_of_a_task(record.name) else self.lines).format(record)


def _is_of_a_task(name: str) -> bool:
    if name == _TRACE or name.startswith("umbel.worker"):
        return False
    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None:
        if logger.name == "umbel.task":
            return True
        logger = logger.parent
    return False


def paints(stream: Any, color: bool | None) -> bool:
    """Whether lines on this stream have colours: on a terminal, unless a setting or NO_COLOR says
    no, or elsewhere because the setting says yes."""
    if color is not None:
        return color
    isatty = getattr(stream, "isatty", None)
    return not os.environ.get("NO_COLOR") and isatty is not None and bool(isatty())


def name_log_lines(process_name: str, number: int = 0) -> None:
    """From here on, ``%(processName)s`` is this, in a process that multiprocessing did not make,
    and log files are those of process ``number``."""
    make = logging.getLogRecordFactory()

    def named(*arguments: Any, **keywords: Any) -> logging.LogRecord:
        record = make(*arguments, **keywords)
        record.processName = process_name
        return record

    logging.setLogRecordFactory(named)
    for file in _files:
        file.belong_to(number)
