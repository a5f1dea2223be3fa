"""``manage.py umbel``."""

from umbel.django.management.command import UmbelCommand as Command

__all__ = ["Command"]
