"""A Django project that set up logging itself: one JSON object a line, on standard output."""

import json
import logging
import os

import django
from django.conf import settings

from umbel import Umbel, get_task_logger


class Lines(logging.Formatter):
    def format(self, record):
        return json.dumps({"from": record.name, "said": record.getMessage()})


settings.configure(
    INSTALLED_APPS=["umbel.django"],
    LOGGING={
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": Lines}},
        "handlers": {
            "out": {
                "class": "logging.StreamHandler",
                "formatter": "lines",
                "stream": "ext://sys.stdout",
            }
        },
        "root": {"handlers": ["out"], "level": "INFO"},
    },
)
django.setup()

app = Umbel("shop", broker=os.environ["MARKS_BROKER"], backend=os.environ["MARKS_BACKEND"])
logger = get_task_logger("shop.orders")


@app.task(name="ship")
def ship(order):
    logger.info("shipped %s", order)
    return [[type(one).__name__, type(one.formatter).__name__] for one in logging.root.handlers]
