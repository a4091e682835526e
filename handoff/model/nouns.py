"""What passes between the parts: utterances in, replies out, and what the dialogue engine answered."""

from dataclasses import dataclass, field
from typing import Any

from handoff.model.words import Channel, Need, Speaker

SILENCE = "silence"
"""As the engine of an utterance without words: nobody has spoken for long, though asked. A person is asked to call."""

MAX_TEXT = 4000  # characters kept of one utterance; the rest of a longer one is screened, not stored


@dataclass(frozen=True)
class Utterance:
    """One thing somebody said to us, by whichever channel, as the connector received it."""

    conversation: str
    """Token of the conversation it belongs to."""
    message_id: str
    """The provider's id of the message; a repeat carries the same one."""
    text: str
    confidence: float = 1.0
    """How sure the recogniser was, 0 to 1; 1 for typed text."""
    engine: str = "typed"
    """Which recogniser heard it, or `typed`."""
    others: tuple[str, ...] = ()
    """What else the sound may have been, the likelier first."""


@dataclass(frozen=True)
class Opening:
    """Who begins a conversation, where and by which channel."""

    channel: Channel
    speaker: Speaker = Speaker.SELF
    station: str | None = None
    """Code of the station, where there is one."""
    address: str | None = None
    """Where they are reached: the number that called, or the openid."""


@dataclass(frozen=True)
class ReplyView:
    """A reply as a connector shows, sends or speaks it."""

    id: str
    text: str
    author: str
    """`assistant` or `worker`."""
    speed: float = 1.0
    """Factor on the voice's pace; 1 is the normal, slow pace."""
    volume: float = 1.0
    number: str | None = None
    """The case number, where this reply names one."""
    village: str | None = None
    call: str | None = None
    """A telephone number to call first, such as 120."""
    held_by: str | None = None
    """Display name of the worker who holds the conversation."""
    stop: bool = False
    """The person asked us to stop speaking."""


@dataclass(frozen=True)
class Outcome:
    """What came of one utterance; `reply` is None where a worker holds the conversation."""

    turn_id: int
    heard: str
    reply: ReplyView | None
    held_by: str | None = None


@dataclass(frozen=True)
class Effect:
    """Something the dialogue wants done; only the service does it."""

    name: str
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DialogueAnswer:
    """What the dialogue engine made of one utterance."""

    need: Need
    intent: str
    confidence: float
    steps: tuple[str | Effect, ...]
    """What is to be said and done, in its order."""
    state: dict[str, Any] | None
    """Opaque state to be given back with the next utterance."""

    @property
    def asks_about(self) -> Need | None:
        """The need about which it goes on asking."""
        return asked_about(self.state)

    @property
    def effects(self) -> tuple[Effect, ...]:
        """What is to be done."""
        return tuple(step for step in self.steps if isinstance(step, Effect))


def asked_about(state: dict[str, Any] | None) -> Need | None:
    """The need whose questions a dialogue's state is in the middle of; None where it asks nothing."""
    need = (state or {}).get("slots", {}).get("need") if (state or {}).get("loop") else None
    return Need(need) if need in list(Need) else None
