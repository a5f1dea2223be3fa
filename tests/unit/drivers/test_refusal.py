"""What an error that a Redis server answers means for whoever asked."""

from __future__ import annotations

import pytest

from umbel.drivers.redis import read_address
from umbel.drivers.redis.refusal import refusal

ADDRESS = read_address("redis://user:geheim@localhost/0")


@pytest.mark.parametrize(
    "answer",
    [
        "WRONGPASS invalid username-password pair or user is disabled.",
        "NOAUTH Authentication required.",
        "NOPERM this user has no permissions to run the 'evalsha' command",
        "NOPERM this user has no permissions to access one of the keys used as arguments",
        "ERR DB index is out of range",
        (
            "ERR AUTH <password> called without any password configured for the default user. "
            "Are you sure your configuration is correct?"
        ),
        "ERR Client sent AUTH, but no password is set",
        "ERR unknown command 'EVALSHA', with args beginning with: ",
        (
            "ERR Error running script (call to f_1): @user_script:1: The user executing the script "
            "can't access at least one of the keys mentioned in the command arguments"
        ),
        "DENIED Redis is running in protected mode because protected mode is enabled",
        "MOVED 3999 127.0.0.1:6381",
        "ERR SELECT is not allowed in cluster mode",
    ],
)
def test_what_only_a_person_can_change_is_lasting(answer):
    refused = refusal(ADDRESS, answer)

    assert (refused.lasting, refused.temporary) == (True, False)


@pytest.mark.parametrize(
    "answer",
    [
        "LOADING Redis is loading the dataset in memory",
        "OOM command not allowed when used memory > 'maxmemory'.",
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist",
        "READONLY You can't write against a read only replica.",
        "BUSY Redis is busy running a script.",
        "CLUSTERDOWN The cluster is down",
        "ERR max number of clients reached",
        "ERR max number of clients + cluster connections reached",
    ],
)
def test_what_passes_is_worth_asking_again(answer):
    refused = refusal(ADDRESS, answer)

    assert (refused.lasting, refused.temporary) == (False, True)


def test_an_error_that_nobody_foresaw_is_neither():
    refused = refusal(ADDRESS, "ERR something new")

    assert (refused.lasting, refused.temporary) == (False, False)


def test_a_quoted_password_does_not_get_into_the_message():
    assert "geheim" not in str(refusal(ADDRESS, "ERR unknown command 'geheim'"))
