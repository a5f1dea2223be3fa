"""What every broker and every result backend must do, as pytest classes to inherit from.

A kind of broker or backend is tested by a subclass of a few lines that says how to reach an empty
store (see ``kind.py``). Every promise in the docstrings of ``brokers/base.py``,
``brokers/admin.py``, ``brokers/bus.py`` and ``backends/base.py`` is one test or more here. What only one kind does
(its wire format, its reconnection) is tested beside that kind.
"""

from __future__ import annotations

import pytest

# Before the modules are imported, so that a failed assertion shows the values it compared.
pytest.register_assert_rewrite(
    *(
        f"{__name__}.{module}"
        for module in (
            "backend_async",
            "backend_store",
            "backend_wait",
            "broker_admin",
            "broker_bus",
            "broker_async",
            "broker_dead",
            "broker_delay",
            "broker_delivery",
            "broker_load",
            "broker_park",
            "broker_pause",
            "broker_rescue",
            "broker_revoke",
            "broker_settlement",
            "broker_unreadable",
            "broker_wait",
            "steps",
        )
    )
)

from umbel.testing.conformance.backend import BackendConformance  # noqa: E402 - see above
from umbel.testing.conformance.broker import BrokerConformance  # noqa: E402 - see above

__all__ = ["BackendConformance", "BrokerConformance"]
