"""Logs of the Rasa process: where something happened and what kind of thing, never what anybody said."""

import json
import logging
import sys
import warnings
from types import TracebackType
from typing import Any

import structlog


class _WordlessFormatter(logging.Formatter):
    """One JSON object a line: logger, level and, if something was raised, its class and place."""

    def format(self, record: logging.LogRecord) -> str:
        """Leaves the message out: Rasa's and Sanic's messages quote people."""
        entry: dict[str, Any] = {"action": "rasa.log", "logger": record.name, "level": record.levelname}
        if record.exc_info and record.exc_info[0]:
            entry |= describe(record.exc_info[0], record.exc_info[2])
        return json.dumps(entry)


def describe(kind: type[BaseException], trace: TracebackType | None) -> dict[str, str]:
    """The class of what was raised and the file and line it came from."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace else ""
    return {"error": kind.__name__, "where": where}


def say(action: str, **fields: object) -> None:
    """One line on standard output, for the parent process."""
    print(json.dumps({"action": action, **fields}), flush=True)


def complain(action: str, **fields: object) -> None:
    """One line on standard error."""
    print(json.dumps({"action": action, **fields}), file=sys.stderr, flush=True)


def _drop(_logger: object, _name: str, _event: object) -> dict[str, Any]:
    raise structlog.DropEvent


def _uncaught(kind: type[BaseException], _error: BaseException, trace: TracebackType | None) -> None:
    complain("rasa.failed", **describe(kind, trace))


def keep_words_out_of_logs() -> None:
    """Call before Rasa is imported and again after it: importing libraries installs handlers."""
    warnings.simplefilter("ignore")
    structlog.configure(processors=[_drop], cache_logger_on_first_use=True)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_WordlessFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in list(root.manager.loggerDict):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    sys.excepthook = _uncaught
