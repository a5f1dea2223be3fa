"""From a URL to a broker or a result backend."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from types import ModuleType

import pytest

from umbel.backends import registry as backends
from umbel.backends.memory import MemoryBackend
from umbel.backends.registry import open_backend
from umbel.brokers import registry as brokers
from umbel.brokers.memory import MemoryBroker
from umbel.brokers.registry import open_broker
from umbel.drivers import kinds
from umbel.exceptions import ImproperlyConfigured


def test_a_url_opens_the_broker_of_its_scheme():
    broker = open_broker("memory://registry", dead_limit=7)
    assert isinstance(broker, MemoryBroker)
    assert broker.dead_limit == 7


@pytest.mark.parametrize("url", ["memory://registry", "cache+memory://registry", "MEMORY://x"])
def test_a_url_opens_the_backend_of_its_scheme(url):
    assert isinstance(open_backend(url), MemoryBackend)


@pytest.mark.parametrize(
    ("opener", "noun"), [(open_broker, "broker"), (open_backend, "result backend")]
)
class TestWrongUrls:
    def test_an_unknown_scheme_names_the_nearest_and_all_known_ones(self, opener, noun):
        with pytest.raises(ImproperlyConfigured) as caught:
            opener("rediz://user:secret@localhost:6379/0")
        text = str(caught.value)
        assert text.startswith(
            f"there is no {noun} for rediz:// (rediz://user:**@localhost:6379/0)"
        )
        assert "did you mean 'redis'?" in text
        assert "sqlite" in text
        assert "memory" in text
        assert "secret" not in text
        assert "\n" not in text

    def test_an_unknown_scheme_that_is_like_no_other_names_the_known_ones(self, opener, noun):
        with pytest.raises(ImproperlyConfigured, match=r"\(gopher://hole\)\. Known are .*memory"):
            opener("gopher://hole")

    def test_a_url_without_a_scheme_is_shown_how_one_looks(self, opener, noun):
        with pytest.raises(ImproperlyConfigured) as caught:
            opener("localhost:6379")
        assert "'localhost:6379' is not a" in str(caught.value)
        assert "redis://localhost:6379/" in str(caught.value)

    def test_a_password_in_a_url_without_a_scheme_is_not_shown(self, opener, noun):
        with pytest.raises(ImproperlyConfigured) as caught:
            opener(":secret@localhost:6379")
        assert "secret" not in str(caught.value)
        assert "localhost:6379" in str(caught.value)

    @pytest.mark.parametrize("url", ["", "  ", None, 5])
    def test_what_is_no_text_is_refused_too(self, opener, noun, url):
        with pytest.raises(ImproperlyConfigured, match=f"a {noun} URL is text like redis://"):
            opener(url)

    def test_an_unknown_option_is_an_error_of_the_caller(self, opener, noun):
        with pytest.raises(TypeError, match="colour"):
            opener("memory://registry", colour="blue")


@pytest.mark.parametrize(
    "module", ["umbel.brokers.registry", "umbel.backends.registry", "umbel.testing.messages"]
)
def test_a_driver_is_imported_only_when_a_url_asks_for_it(module):
    program = f"import sys, {module}; print('redis' in sys.modules, 'sqlite3' in sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(("registry", "opener"), [(brokers, open_broker), (backends, open_backend)])
def test_a_missing_driver_says_how_to_install_it(registry, opener, monkeypatch):
    def missing(name: str) -> ModuleType:
        raise ModuleNotFoundError("No module named 'redis.asyncio'", name="redis.asyncio")

    monkeypatch.setattr(kinds, "import_module", missing)
    with pytest.raises(ImproperlyConfigured) as caught:
        opener("redis://:secret@localhost/0")
    assert 'pip install "umbel[redis]"' in str(caught.value)
    assert "redis://" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_missing_part_of_umbel_itself_is_not_blamed_on_a_driver(monkeypatch):
    def missing(name: str) -> ModuleType:
        raise ModuleNotFoundError("No module named 'umbel.gone'", name="umbel.gone")

    monkeypatch.setattr(kinds, "import_module", missing)
    with pytest.raises(ModuleNotFoundError, match=r"umbel\.gone"):
        open_broker("redis://localhost/0")


@pytest.mark.parametrize("kind", [brokers.KINDS, backends.KINDS], ids=["brokers", "backends"])
def test_every_scheme_with_an_extra_is_known(kind):
    assert set(kind.extras) <= set(kind.paths)


class TestEntryPoints:
    """Kinds that other packages bring."""

    @pytest.fixture
    def installed(self, monkeypatch):
        def install(group, **entries):
            points = EntryPoints(
                EntryPoint(name=name, value=value, group=group) for name, value in entries.items()
            )
            monkeypatch.setattr(
                importlib.metadata, "entry_points", lambda group: points.select(group=group)
            )

        return install

    def test_another_package_adds_a_broker_by_its_scheme(self, installed):
        installed("umbel.brokers", acme="umbel.brokers.memory:MemoryBroker")
        assert isinstance(open_broker("acme://somewhere"), MemoryBroker)
        with pytest.raises(ImproperlyConfigured, match=r"did you mean 'acme'\?"):
            open_broker("acne://somewhere")
        with pytest.raises(ImproperlyConfigured, match="there is no result backend for acme"):
            open_backend("acme://somewhere")

    def test_another_package_adds_a_backend_by_its_scheme(self, installed):
        installed("umbel.backends", acme="umbel.backends.memory:MemoryBackend")
        assert isinstance(open_backend("acme://somewhere"), MemoryBackend)

    def test_a_kind_of_another_package_that_cannot_be_imported_is_named(self, installed):
        installed("umbel.brokers", acme="acme_of_nowhere:Broker")
        with pytest.raises(ImproperlyConfigured, match=r"acme:// \(acme_of_nowhere:Broker\)"):
            open_broker("acme://somewhere")

    def test_a_kind_of_our_own_cannot_be_replaced_by_accident(self, installed):
        installed("umbel.brokers", memory="acme_of_nowhere:Broker")
        assert isinstance(open_broker("memory://registry"), MemoryBroker)
