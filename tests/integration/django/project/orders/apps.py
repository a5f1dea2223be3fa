from __future__ import annotations

import os

from django.apps import AppConfig
from django.conf import settings
from django.db import connection
from django.db.backends.signals import connection_created

from umbel import current_app
from umbel.current import existing_app

#: What the present process has seen; tasks report it.
seen = {"connections": 0, "caches_closed": 0, "inherited": None, "early_app": None}


class OrdersConfig(AppConfig):
    name = "orders"

    def ready(self) -> None:
        connection_created.connect(count_connection, dispatch_uid="orders")
        if os.environ.get("CONNECT_EARLY"):
            connection.ensure_connection()
            seen["inherited"] = connection.connection
        if getattr(settings, "EARLY", False) and current_app.conf:
            seen["early_app"] = existing_app()


def count_connection(**_details: object) -> None:
    seen["connections"] += 1
