"""What tests of your own need: a worker, builders of messages, the conformance suites of the seams.

``umbel.testing.worker`` runs a worker in a thread of the test's process; ``umbel.testing.messages``
makes messages by hand; ``umbel.testing.conformance`` holds what every broker and every result
backend must do, as classes to inherit from. Nothing here is imported by the rest of Umbel.
"""
