"""Logs: one JSON object a line, an `action` and ids; never words, names or numbers of people."""

import logging
import sys

import structlog


def configure_logs(level: str = "INFO") -> None:
    """Structured lines to standard error; libraries only from warnings up, without their messages' values."""
    logging.basicConfig(level=logging.ERROR, format="%(name)s %(levelname)s", stream=sys.stderr, force=True)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.EventRenamer("action"),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        # Asked for at each line: whoever replaces standard error later gets the lines. Each is one write, its end included:
        # what another thread prints meanwhile must not come between.
        logger_factory=lambda *_: structlog.WriteLogger(sys.stderr),
    )
