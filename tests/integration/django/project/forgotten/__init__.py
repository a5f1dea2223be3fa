"""A project whose ``__init__`` does not import its app, and whose settings are a package."""
