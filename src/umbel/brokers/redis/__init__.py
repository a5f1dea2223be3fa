"""Redis (6.2 and later) and Valkey as a broker. Begin with ``keys.py``, then ``exchange.lua``."""
