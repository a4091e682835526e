"""The strict channel: a crash is a 500, silence is a 500, and no word is kept."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from rasa.core.channels.channel import InputChannel, UserMessage
from sanic import Blueprint
from sanic.exceptions import SanicException
from sanic.request import Request
from sanic.response import HTTPResponse, json

from strict.processor import Answer, StrictProcessor
from strict.quiet import complain, describe
from strict.state import MalformedState, State, read_state

LONGEST_TEXT = 4000


class BadRequest(ValueError):
    """The body is not a turn."""


@dataclass(frozen=True)
class Turn:
    """One request, checked."""

    text: str
    sender: str
    state: object
    metadata: dict[str, Any]


def read_turn(body: object) -> Turn:
    """A turn from decoded JSON; raises BadRequest."""
    if not isinstance(body, dict):
        raise BadRequest("not an object")
    text, sender, metadata = body.get("text"), body.get("sender"), body.get("metadata") or {}
    if (
        not isinstance(text, str)
        or not (text := _printable(text[:LONGEST_TEXT]))
        or not isinstance(sender, str)
        or not sender
    ):
        raise BadRequest("text and sender are non-empty strings")
    if not isinstance(metadata, dict):
        raise BadRequest("metadata is an object")
    return Turn(text, sender, body.get("state"), metadata)


def _printable(text: str) -> str:
    """Without control characters and lone surrogates, which JSON can carry and UTF-8 cannot."""
    return "".join(ch if ch.isprintable() else " " for ch in text).strip()


class StrictChannel(InputChannel):
    """POST turn, GET health; see bot/README.md for the contract."""

    def __init__(self, processor: StrictProcessor, fingerprint: str) -> None:
        self._processor = processor
        self._fingerprint = fingerprint

    @classmethod
    def name(cls) -> str:
        """The channel's place under /webhooks/."""
        return "strict"

    def blueprint(self, on_new_message: Callable[[UserMessage], Awaitable[None]]) -> Blueprint:
        """The two routes; `on_new_message` is not used, since it would hide what was raised."""
        routes = Blueprint("strict", url_prefix="/webhooks/strict")

        @routes.get("/", strict_slashes=False)
        async def health(_request: Request) -> HTTPResponse:
            return json({"status": "ok", "model": self._fingerprint})

        @routes.post("/turn")
        async def turn(request: Request) -> HTTPResponse:
            return await self._respond(request)

        return routes

    async def _respond(self, request: Request) -> HTTPResponse:
        try:
            asked = read_turn(request.json)
        except (BadRequest, SanicException, UnicodeError, RecursionError):
            return json({"error": "bad_request"}, status=400)
        state, dropped = self._known_state(asked.state)
        try:
            answer = await self._processor.answer(asked.text, asked.sender, state, asked.metadata)
        except Exception as fault:
            cause = fault.__cause__ or fault
            complain("rasa.crashed", **describe(type(cause), cause.__traceback__))
            return json({"error": "dialogue_crashed"}, status=500)
        if not answer.messages:
            return json({"error": "no_answer"}, status=500)
        return json(_as_json(answer) | ({"state_dropped": True} if dropped else {}))

    def _known_state(self, data: object) -> tuple[State, bool]:
        try:
            return read_state(data, self._processor.forms), False
        except MalformedState:
            return State(), True


def _as_json(answer: Answer) -> dict[str, Any]:
    reading = answer.reading
    return {
        "need": reading.need,
        "intent": reading.intent,
        "act": reading.act,
        "confidence": round(reading.confidence, 4),
        "ranking": [[need, round(share, 4)] for need, share in reading.ranking],
        "messages": answer.messages,
        "state": answer.state.as_json(),
    }
