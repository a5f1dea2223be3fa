"""Redis as a server to talk to: where it is, one connection, and a pool of them.

The protocol is hiredis, the connection is ours: redis-py takes 95 ms and 20 MB to import, and
spends as long on a command as the server and the wire together. Nothing here knows of queues,
loans or results; brokers and backends stand on top of it.
"""

from __future__ import annotations

from umbel.drivers.redis.address import Address, read_address
from umbel.drivers.redis.link import Link, Script
from umbel.drivers.redis.pool import Pool
from umbel.drivers.redis.refusal import Refused

__all__ = ["Address", "Link", "Pool", "Refused", "Script", "read_address"]
