"""Run by ``manage.py test``: what a project's own test suite relies on."""

from __future__ import annotations

import pytest
from django.db import connection, transaction
from django.test import TestCase, override_settings

from orders.apps import seen
from orders.models import Order
from orders.tasks import add, fail, look
from umbel import current_app
from umbel.exceptions import EncodeError


class Settings(TestCase):
    def test_settings_are_read_live(self) -> None:
        assert not current_app.conf.task_always_eager
        with override_settings(CELERY_TASK_ALWAYS_EAGER=True):
            assert current_app.conf.task_always_eager
            assert add.delay(2, 3).get() == 5
        assert not current_app.conf.task_always_eager
        with override_settings(UMBEL_TASK_ALWAYS_EAGER=True):
            assert add.delay(2, 3).get() == 5
        assert not current_app.conf.task_always_eager

    @override_settings(CELERY_TASK_ALWAYS_EAGER=True, CELERY_TASK_EAGER_PROPAGATES=True)
    def test_errors_of_eager_tasks_propagate_when_asked(self) -> None:
        with self.assertRaisesMessage(ValueError, "no such order"):
            fail.delay()

    def test_the_time_zone_is_djangos_unless_ours_is_set(self) -> None:
        assert str(current_app.conf.timezone) == "Asia/Shanghai"
        with override_settings(CELERY_TIMEZONE="Europe/Berlin"):
            assert str(current_app.conf.timezone) == "Europe/Berlin"
        with override_settings(TIME_ZONE="America/Lima"):
            assert str(current_app.conf.timezone) == "America/Lima"


class Connections(TestCase):
    @override_settings(CELERY_TASK_ALWAYS_EAGER=True)
    def test_eager_tasks_leave_the_connection_of_the_caller_alone(self) -> None:
        Order.objects.create(name="mine")
        before = connection.connection, seen["caches_closed"]

        assert look.delay().get()["orders"] == 1

        assert (connection.connection, seen["caches_closed"]) == before
        assert Order.objects.filter(name="mine").exists()


@override_settings(CELERY_TASK_ALWAYS_EAGER=True)
class OnCommit(TestCase):
    def test_a_task_is_sent_when_the_transaction_commits(self) -> None:
        with self.captureOnCommitCallbacks() as callbacks, transaction.atomic():
            assert add.delay_on_commit(2, 3) is None
            assert add.apply_async_on_commit((2, 3), countdown=1) is None

        assert [callback().get() for callback in callbacks] == [5, 5]

    def test_nothing_is_sent_when_the_transaction_is_rolled_back(self) -> None:
        with self.captureOnCommitCallbacks() as callbacks, transaction.atomic():
            add.delay_on_commit(2, 3)
            transaction.set_rollback(True)

        assert callbacks == []

    def test_wrong_arguments_are_refused_at_once(self) -> None:
        with self.captureOnCommitCallbacks() as callbacks, transaction.atomic():
            with pytest.raises(TypeError):
                add.delay_on_commit(2)
            with pytest.raises(TypeError):
                add.apply_async_on_commit((2, 3, 4))

        assert callbacks == []


class Arguments(TestCase):
    def test_a_model_instance_is_refused_with_what_to_pass_instead(self) -> None:
        with self.assertRaisesMessage(EncodeError, "pass its primary key"):
            add.delay(Order(name="one"), 1)
