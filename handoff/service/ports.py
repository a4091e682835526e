"""What the service needs from outside; the composition root provides it."""

from collections.abc import Mapping
from typing import Any, Protocol

from handoff.model.errors import HandoffError
from handoff.model.nouns import DialogueAnswer


class DialogueError(HandoffError):
    """The dialogue engine is not ready, hung, crashed or answered nothing usable (see `code`)."""


class Dialogue(Protocol):
    """The dialogue engine. Stateless: what it must remember is given back to it."""

    async def answer(
        self,
        text: str,
        state: dict[str, Any] | None,
        *,
        channel: str,
        speaker: str,
        answers: Mapping[str, str] | None = None,
    ) -> DialogueAnswer:
        """Understand one utterance and answer it; raises DialogueError.

        answers: the needs for which the knowledge base has an answer to it, each with how it is followed up.
        """
        ...
