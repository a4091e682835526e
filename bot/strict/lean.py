"""Keeps libraries out of the process that Rasa imports and this bot never uses.

Rasa imports TensorFlow and the client libraries of every channel and store it knows as soon as its
processor is imported; with them a start takes minutes on a cold disk and a gigabyte of memory. The
pipeline here has neither networks nor foreign channels, so those imports get empty stand-ins.
docs: bot/README.md, "Lean imports".
"""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

UNUSED = frozenset(
    """
    tensorflow tensorflow_text tensorflow_hub keras jax jaxlib
    aiogram aio_pika apscheduler boto3 botocore confluent_kafka engineio fbmessenger google matplotlib
    mattermostwrapper mitie pika prompt_toolkit psycopg2 pycrfsuite pymongo questionary redis
    requests_toolbelt rocketchat_API sanic_cors sanic_jwt sentry_sdk sklearn_crfsuite slack slack_sdk
    socketio spacy transformers twilio webexteamssdk
    """.split()
)
ONLY_FOR_TRAINING = frozenset({"jwt", "requests", "sklearn", "sqlalchemy"})


class _AbsentType(type):
    """A class of which every attribute is again such a class, so that class bodies can name it."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _AbsentType(name, (Absent,), {})

    def __getitem__(cls, _key: object) -> Any:
        return cls


class Absent(metaclass=_AbsentType):
    """Stands where a class of an unused library would be named: in a base class, hint or decorator."""

    def __init__(self, *_args: object, **_kwargs: object) -> None:
        pass

    def __init_subclass__(cls, **_kwargs: object) -> None:
        pass

    def __call__(self, thing: Any = None, *_args: object, **_kwargs: object) -> Any:
        return thing

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent()


class _AbsentModule(ModuleType):
    """A module that has whatever is asked of it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _AbsentType(name, (Absent,), {})


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Answers for the unused libraries and everything beneath them."""

    def __init__(self, absent: frozenset[str]) -> None:
        self.absent = absent

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] not in self.absent:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _AbsentModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


def keep_unused_libraries_out(*, training: bool = False) -> None:
    """Call before the first import of `rasa`; a second call changes nothing."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder(UNUSED if training else UNUSED | ONLY_FOR_TRAINING))
