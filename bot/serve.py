"""Serves a trained model on loopback through the strict channel: `python bot/serve.py --model FILE --port N`.

Ends when its standard input does, so that no Rasa outlives the service that started it.
"""

import argparse
import hashlib
import logging
import os
import socket
import sys
import threading
import time
from pathlib import Path

from strict.lean import keep_unused_libraries_out
from strict.quiet import complain, describe, keep_words_out_of_logs, say


def main() -> int:
    """Runs until standard input ends; 1 when the model or the port cannot be had, 2 on bad usage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="a .tar.gz made by train.py")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1", choices=["127.0.0.1", "::1", "localhost"])
    asked = parser.parse_args()
    if not asked.model.is_file():
        complain("rasa.failed", error="model_missing")
        return 1
    threading.Thread(target=_end_with_parent, daemon=True).start()
    return _serve(asked.model, asked.host, asked.port)


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os._exit(0)


def _serve(model: Path, host: str, port: int) -> int:
    began = time.monotonic()
    os.environ |= {"RASA_TELEMETRY_ENABLED": "false", "SQLALCHEMY_SILENCE_UBER_WARNING": "1"}
    keep_words_out_of_logs()
    keep_unused_libraries_out()
    from rasa.core.processor import MessageProcessor  # noqa: F401
    from sanic import Sanic
    from strict.channel import StrictChannel
    from strict.processor import StrictProcessor

    keep_words_out_of_logs()
    try:
        processor = StrictProcessor(model)
    except Exception as fault:
        complain("rasa.failed", **(describe(type(fault), fault.__traceback__) | {"error": "model_damaged"}))
        return 1
    try:
        listening = socket.create_server((host, port), family=_family(host))
    except OSError:
        complain("rasa.failed", error="port_taken")
        return 1
    fingerprint = hashlib.sha256(model.read_bytes()).hexdigest()[:16]
    app = Sanic("xiangyin-rasa", configure_logging=False)
    app.config.FALLBACK_ERROR_FORMAT = "json"
    app.config.MOTD = False
    app.blueprint(StrictChannel(processor, fingerprint).blueprint(_unused))

    @app.listener("after_server_start")
    async def ready(*_args: object) -> None:
        say("rasa.ready", port=port, model=fingerprint, seconds=round(time.monotonic() - began, 2))

    keep_words_out_of_logs()
    app.run(sock=listening, workers=1, access_log=False, debug=False)
    return 0


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


async def _unused(_message: object) -> None:
    raise NotImplementedError


if __name__ == "__main__":
    logging.raiseExceptions = False
    sys.exit(main())
