"""Signatures: calls that have not been made, as values."""

from __future__ import annotations

import copy
import pickle

import pytest

from umbel import AsyncResult, Signature, signature
from umbel.canvas.signature import maybe_signature
from umbel.exceptions import NotRegistered
from umbel.message.protocol import decode_body, encode_body
from umbel.message.tagged_json import encode

JSON = ("application/json",)


@pytest.fixture
def add(app):
    @app.task(name="proj.add")
    def add(x, y):
        return x + y

    return add


def calls(messages):
    return [(one.task, *decode_body(one, JSON)[:2]) for one in messages]


def test_a_signature_is_a_dict_in_the_form_of_celery(add):
    made = add.signature((2,), {"y": 3}, countdown=10)

    assert encode(made) == (
        b'{"task": "proj.add", "args": [2], "kwargs": {"y": 3}, "options": {"countdown": 10}, '
        b'"subtask_type": null, "immutable": false}'
    )


def test_arguments_of_the_call_come_before_those_of_the_signature(app, add, sent):
    add.s(2).delay(1)
    add.s(y=2).apply_async((1,))
    add.s(2, y=0).clone(kwargs={"y": 3}).delay()
    add.si(4, 5).delay("left", out=True)

    assert calls(sent(app)) == [
        ("proj.add", [1, 2], {}),
        ("proj.add", [1], {"y": 2}),
        ("proj.add", [2], {"y": 3}),
        ("proj.add", [4, 5], {}),
    ]


def test_options_of_the_call_go_over_those_of_the_signature(app, add, sent):
    add.s(1, 2).set(queue="slow", priority=3).apply_async(priority=7, queue=None)

    [message] = sent(app, "slow")
    assert message.priority == 7


def test_a_signature_can_be_called_and_run_in_place(add):
    assert add.s(2)(1) == 3
    assert add.s(1, 2).apply().get() == 3
    assert add.subtask((1, 2)).apply().get() == 3


def test_a_task_that_is_not_known_here_is_sent_by_its_name(app, sent):
    made = app.signature("elsewhere.task", args=(1,), task_id="my-id")

    assert made.delay(0).id == "my-id"
    assert calls(sent(app)) == [("elsewhere.task", [0, 1], {})]
    with pytest.raises(NotRegistered):
        made(0)


def test_copies_share_nothing_that_is_changed_later(add):
    original = add.s(1).set(queue="a")
    for made in (
        copy.copy(original),
        copy.deepcopy(original),
        original.clone(),
        signature(original),
    ):
        made.set(queue="b").link(add.s(2))
        assert type(made) is Signature
    linked = original.clone()
    linked.link(add.s(1))
    another = linked.clone()
    another.link(add.s(2))
    another.options["link"][0].set(queue="c")

    assert original == add.signature((1,), queue="a")
    assert linked.options["link"] == [add.s(1)]


def test_links_are_kept_once_and_returned(add):
    made = add.s(1, 2)

    assert made.link(add.s(3)) == add.s(3)
    made.link(add.s(3))
    made.link(add.s(4)).link(add.s(5))
    assert made.on_error(add.si()) is made
    assert made.options["link_error"] == [add.si()]
    assert made.flatten_links() == [made, add.s(3), made.options["link"][1], add.s(5)]


def test_an_id_can_be_settled_before_the_call(app, add, sent):
    made = add.s(1, 2)

    result = made.freeze(root_id="root", parent_id="parent", group_id="g", group_index=1)
    assert isinstance(result, AsyncResult)
    assert made.freeze("another").id == result.id == made.id
    made.delay()

    [message] = sent(app)
    headers = message.headers
    assert message.id == result.id
    assert (headers["root_id"], headers["parent_id"]) == ("root", "parent")
    assert (headers["group"], headers["group_index"]) == ("g", 1)


def test_replacing_leaves_the_original(add):
    made = add.s(1, 2)

    assert made.replace(args=(3, 4), options={"queue": "q"}) == add.signature((3, 4), queue="q")
    assert made == add.s(1, 2)


def test_dicts_become_signatures_again(app, add):
    plain = dict(add.s(1, 2))

    assert signature(plain, app=app)() == 3
    assert maybe_signature(plain, app).delay is not None
    assert maybe_signature(None) is None
    assert pickle.loads(pickle.dumps(add.s(1, 2))) == add.s(1, 2)


def test_a_signature_shows_the_call(add):
    assert repr(add.s(1, y="two")) == "proj.add(1, y='two')"
    assert add.s(2).reprcall(1) == "proj.add(1, 2)"


def test_what_cannot_be_a_signature_is_refused(add):
    with pytest.raises(TypeError, match="made of a task, its name or a dict, not 5"):
        signature(5)
    with pytest.raises(TypeError, match=r"proj\.add: args must be a list or tuple, not str"):
        add.signature("ab")
    with pytest.raises(TypeError, match=r"proj\.add: kwargs must be a mapping"):
        add.signature((), [1])
    with pytest.raises(TypeError, match=r"chains .* are not supported"):
        add.s(1, 2) | add.s(3)
    with pytest.raises(TypeError, match="a group cannot be sent"):
        signature({"task": "celery.group", "subtask_type": "group"}).delay()


@pytest.mark.parametrize("serializer", ["json", "yaml", "pickle", "msgpack"])
def test_signatures_travel_as_callbacks_with_every_serializer(app, add, sent, serializer):
    app.conf.accept_content = ["json", serializer]
    nested = add.s(1).set(link=add.s(2))

    add.apply_async((1, 2), link=nested, serializer=serializer)

    [message] = sent(app)
    embed = decode_body(message, (message.content_type,))[2]
    [callback] = embed["callbacks"]
    assert type(callback) is dict
    assert callback["task"] == "proj.add"
    assert callback["options"]["link"]["args"] == [2]


@pytest.mark.parametrize("serializer", ["json", "pickle"])
def test_a_signature_can_be_an_argument(add, serializer):
    body = encode_body((add.s(1),), {}, None, serializer)[0]

    assert body
