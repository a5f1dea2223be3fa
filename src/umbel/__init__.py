"""Umbel: a distributed task queue for Django and plain Python that speaks Celery.

you call           it travels       it waits         it runs          it is remembered
app/          →    message/    →    brokers/    →    worker/     →    backends/
                                                        │                 │
                                                     events/          result/ ← you ask
"""

__version__ = "0.1.0"
