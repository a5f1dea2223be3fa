from __future__ import annotations

import typing

import pytest

from umbel import Task
from umbel.app.options import CALL_OPTIONS, TASK_OPTIONS, CallOptions, TaskOptions, check_names
from umbel.app.settings import SETTINGS
from umbel.exceptions import ImproperlyConfigured, UmbelWarning, UnknownOption


def test_type_checkers_know_the_options_of_the_table():
    in_signatures = {"bind", "base", "name"}
    in_calls = {"shadow", "link", "link_error"}

    assert set(TaskOptions.__annotations__) == {o.name for o in TASK_OPTIONS} - in_signatures
    assert set(CallOptions.__annotations__) == set(CALL_OPTIONS) - in_calls


def test_every_option_is_an_attribute_of_a_task():
    for option in TASK_OPTIONS:
        assert hasattr(Task, option.name), option.name
        if option.setting is None and option.name != "backend":
            assert getattr(Task, option.name) == option.default


def test_attributes_that_type_checkers_know_are_options():
    own = {"app", "based"}
    annotated = {name for name in Task.__annotations__ if not name.startswith("_")}

    assert annotated - own <= {option.name for option in TASK_OPTIONS}


def test_every_option_says_what_it_means():
    for option in TASK_OPTIONS:
        assert option.doc.endswith(".")
    assert all(doc.endswith(".") for doc in CALL_OPTIONS.values())


def test_options_that_a_setting_decides_name_a_setting():
    named = {option.setting for option in TASK_OPTIONS if option.setting}

    assert named <= set(SETTINGS)


def test_an_unknown_option_is_refused_with_the_nearest_name():
    with pytest.raises(
        UnknownOption, match="task x has no option 'max_retrys'; did you mean 'max_retries'"
    ):
        check_names(["max_retrys"], of="task x", strict=True)


def test_where_unknown_options_are_allowed_a_near_miss_is_warned_about_once():
    with pytest.warns(UmbelWarning, match="did you mean 'rate_limit'"):
        check_names(["rate_limt"], of="task x", strict=False)

    check_names(["rate_limt"], of="task x", strict=False)


def test_where_unknown_options_are_allowed_a_name_of_ones_own_is_no_near_miss():
    check_names(["verbose_name", "description", "lock_expiry"], of="task x", strict=False)


def test_pydantic_is_refused_instead_of_being_without_effect(app):
    with pytest.raises(ImproperlyConfigured, match="pydantic=True"):
        app.task(name="model", pydantic=True)(lambda: None)


def test_a_result_backend_of_its_own_is_refused_instead_of_being_without_effect(app):
    with pytest.raises(ImproperlyConfigured, match="result backend of its own"):
        app.task(name="model", backend="redis://localhost")(lambda: None)


def test_the_typed_dictionaries_are_optional_throughout():
    assert not CallOptions.__required_keys__
    assert not TaskOptions.__required_keys__
    assert typing.is_typeddict(CallOptions)
