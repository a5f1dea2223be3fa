"""What a program calls: the app, its tasks, and everything that is decided before a message travels.

The public names are in ``umbel``; import them from there.
"""
