"""Messages written in bulk are the messages that would be written one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from umbel.message import protocol
from umbel.message.representation import represent
from umbel.message.stencil import Stencil
from umbel.testing.messages import message


def sample(**options):
    made = message("proj.add", args=(1, 2), **options)
    return replace(made, delivery_tag=made.id, correlation_id=made.id)


VALUES = st.one_of(st.text(), st.integers(), st.binary().map(repr), st.lists(st.text()))


@given(args=st.lists(VALUES), kwargs=st.dictionaries(st.text(), VALUES), number=st.uuids())
def test_a_filled_stencil_is_what_encode_writes(args, kwargs, number):
    first = sample()
    task_id = str(number)
    body, *_rest = protocol.encode_body(args, kwargs)
    headers = {
        **first.headers,
        "id": task_id,
        "root_id": task_id,
        "argsrepr": represent(args),
        "kwargsrepr": represent(kwargs),
    }
    other = replace(first, headers=headers, body=body, correlation_id=task_id, delivery_tag=task_id)

    written = Stencil(first).write(task_id, body, headers["argsrepr"], headers["kwargsrepr"])
    assert written == protocol.encode(other)


@pytest.mark.parametrize("options", [{}, {"priority": 5}, {"queue": "größe"}, {"due": 2e9}])
def test_everything_else_stays_as_in_the_first(options):
    first = sample(**options)
    headers = first.headers
    written = Stencil(first).write(first.id, first.body, headers["argsrepr"], headers["kwargsrepr"])

    assert protocol.decode(written) == protocol.decode(protocol.encode(first))


def test_a_root_of_another_workflow_stays():
    first = sample()
    first = replace(first, headers={**first.headers, "root_id": "another"})
    written = Stencil(first).write("new", first.body, "()", "{}")

    assert protocol.decode(written).headers["root_id"] == "another"
    assert protocol.decode(written).id == "new"
