"""What tests of your own need: builders of messages and the conformance suites of the seams.

``umbel.testing.messages`` makes messages by hand; ``umbel.testing.conformance`` holds what every
broker and every result backend must do, as classes to inherit from. Nothing here is imported by
the rest of Umbel.
"""
