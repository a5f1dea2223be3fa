"""The phrase that offers the nearest word."""

from __future__ import annotations

from umbel.spelling import closest, nearest

WORDS = ("task_serializer", "task_time_limit", "result_backend")


def test_a_misspelt_word_is_answered_with_a_ready_phrase():
    assert nearest("task_serialiser", WORDS) == "; did you mean 'task_serializer'?"


def test_a_word_unlike_all_others_is_answered_with_nothing():
    assert nearest("colour", WORDS) == ""
    assert nearest("colour", ()) == ""


def test_upper_and_lower_case_make_no_difference_and_the_original_is_offered():
    assert nearest("TASK_TIMELIMIT", WORDS) == "; did you mean 'task_time_limit'?"
    assert closest("queue", ["Queue"]) == "Queue"


def test_the_possibilities_may_be_an_iterator():
    assert closest("result_backnd", iter(WORDS)) == "result_backend"


def test_the_cutoff_says_how_alike_the_words_must_be():
    assert closest("time_limit", WORDS) == "task_time_limit"
    assert closest("time_limit", WORDS, cutoff=0.95) is None
