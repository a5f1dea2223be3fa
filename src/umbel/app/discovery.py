"""Finding the app that ``-A`` names: ``proj``, ``proj.celery``, ``proj.celery:app``.

Tells apart what people mix up: a module that does not exist, one that exists but cannot be imported,
and one that holds no app. Every error is one line that says what was looked for and where.
"""

from __future__ import annotations

import os
import sys
import traceback
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from umbel.app.app import Umbel
from umbel.current import existing_app
from umbel.exceptions import ImproperlyConfigured
from umbel.spelling import nearest

__all__ = ["find_app"]

#: What an app is usually called, and in which module of a package it usually is.
_ATTRIBUTES = ("app", "celery", "umbel")
_SUBMODULES = ("celery", "umbel", "app", "tasks")


_DJANGO = "; a Django project that makes no app of its own: python manage.py celery worker"


def find_app(name: str | None, command: str = "worker") -> Umbel:
    """The app of this name; None: the one that exists already. ``command``: what needs it."""
    if not name:
        app: Umbel | None = existing_app()
        if app is None:
            raise ImproperlyConfigured(
                f"Which app? Say in which module it is: umbel -A proj {command} "
                "(or -A proj.celery:app)"
            )
        return app
    _refuse_paths(name)
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    module_name, colon, attribute = name.partition(":")
    if colon:
        return _attribute(_import(module_name), attribute)
    if _exists(module_name):
        return _search(_import(module_name))
    parent, _, attribute = module_name.rpartition(".")
    if parent and _exists(parent):
        module = _import(parent)
        if hasattr(module, attribute):
            return _attribute(module, attribute)
    raise _missing(module_name)


def _in_django() -> bool:
    return bool(os.environ.get("DJANGO_SETTINGS_MODULE"))


def _refuse_paths(name: str) -> None:
    """A file's path, or half of a name, where a module's name is needed."""
    module, colon, attribute = name.partition(":")
    words = module.replace("\\", "/").removesuffix(".py").strip("./").replace("/", ".")
    if words == module and words and all(words.split(".")) and (attribute or not colon):
        return
    meant = ".".join(word for word in words.split(".") if word) or "MODULE"
    raise ImproperlyConfigured(
        f"-A {name!r} is not the name of a module (as `import` has it, not a path): "
        f"write -A {meant}{f':{attribute}' if attribute else ''}"
    )


def _import(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise _missing(name) from error
        raise _broken(name, error) from error
    except Exception as error:
        raise _broken(name, error) from error


def _exists(name: str) -> bool:
    """Whether there is such a module; importing its parents is what it takes to know."""
    if name in sys.modules:
        return True
    parent = name.rpartition(".")[0]
    if parent and (not _exists(parent) or not hasattr(_import(parent), "__path__")):
        return False
    return find_spec(name) is not None


def _attribute(module: ModuleType, attribute: str) -> Umbel:
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise ImproperlyConfigured(
                f"{module.__name__} ({_place(module)}) has no {attribute!r}{nearest(part, dir(found))}"
            )
        found = getattr(found, part)
    if isinstance(found, ModuleType):
        return _search(found)
    if not isinstance(found, Umbel):
        raise ImproperlyConfigured(
            f"{module.__name__}:{attribute} is {type(found).__name__}, not an app"
        )
    return found


def _search(module: ModuleType) -> Umbel:
    """The app in a module, or in one of the modules of a package."""
    found = _in_module(module)
    tried = [module.__name__]
    if found is None and hasattr(module, "__path__"):
        for name in _SUBMODULES:
            path = f"{module.__name__}.{name}"
            if found is None and _exists(path):
                tried.append(path)
                found = _in_module(_import(path))
    if found is None:
        raise ImproperlyConfigured(
            f"No app in {', '.join(tried)} ({_place(module)}): looked for {', '.join(_ATTRIBUTES)} "
            f"and for any other Umbel or Celery object{_DJANGO if _in_django() else ''}"
        )
    return found


def _in_module(module: ModuleType) -> Umbel | None:
    for name in _ATTRIBUTES:
        found = vars(module).get(name)
        if isinstance(found, Umbel):
            return found
    # What only stands for the current app is none of the module's own.
    apps = {name: found for name, found in vars(module).items() if issubclass(type(found), Umbel)}
    if len({id(app) for app in apps.values()}) > 1:
        raise ImproperlyConfigured(
            f"{module.__name__} has several apps: {', '.join(sorted(apps))}; say which: "
            f"-A {module.__name__}:{min(apps)}"
        )
    return next(iter(apps.values()), None)


def _missing(name: str) -> ImproperlyConfigured:
    parent, _, last = name.rpartition(".")
    if parent and _exists(parent):
        names = [module.name for module in iter_modules(getattr(_import(parent), "__path__", []))]
        where = f"{parent} ({_place(_import(parent))})"
    else:
        last = name.partition(".")[0]
        names = [module.name for module in iter_modules([str(Path.cwd())])]
        where = f"{Path.cwd()} or anywhere else on Python's path"
    return ImproperlyConfigured(f"There is no module {last!r} in {where}{nearest(last, names)}")


def _broken(name: str, error: Exception) -> ImproperlyConfigured:
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "importlib" not in frame.filename and frame.filename != __file__
    ]
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    if isinstance(error, SyntaxError) and error.filename:
        place = f" ({error.filename}:{error.lineno})"
    return ImproperlyConfigured(
        f"Importing {name} failed with {type(error).__name__}: {error}{place}"
    )


def _place(module: ModuleType) -> str:
    return module.__file__ or ", ".join(getattr(module, "__path__", ())) or "built in"
