"""The commands of remote control: ``topics.py`` has them all, ``registry.py`` knows them by name."""
