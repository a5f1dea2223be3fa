"""The version of this package, where every layer may read it."""

__all__ = ["VERSION"]

VERSION = "0.1.0"
