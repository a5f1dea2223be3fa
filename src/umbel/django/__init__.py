"""Umbel in a Django project: ``INSTALLED_APPS += ["umbel.django"]``, and nothing else is needed."""
