"""A reply as pages and programs get it: JSON, with the addresses of its sentences as speech."""

from typing import Any
from urllib.parse import quote

from handoff.model.nouns import Outcome, ReplyView
from handoff.model.spoken import digit_by_digit
from voice.speak import Speaker


def present(reply: ReplyView, conversation: str) -> dict[str, Any]:
    """The page's REPLY object."""
    sentences = Speaker.sentences(reply.text)
    return {
        "id": reply.id,
        "text": reply.text,
        "sentences": sentences,
        "speech": [
            f"/station/speech/{reply.id}/{n}.wav?conversation={quote(conversation)}"
            for n in range(len(sentences))
        ],
        "speed": reply.speed,
        "volume": reply.volume,
        "number": reply.number,
        "number_spoken": f"{digit_by_digit(reply.number)} {reply.village or ''}".strip()
        if reply.number
        else None,
        "call": reply.call,
        "held_by": reply.held_by,
        "from": reply.author,
        "stop": reply.stop,
    }


def present_outcome(outcome: Outcome, conversation: str) -> dict[str, Any]:
    """What was heard, and the reply if the assistant gives one."""
    reply = present(outcome.reply, conversation) if outcome.reply else None
    return {"heard": outcome.heard, "reply": reply, "held_by": outcome.held_by}
