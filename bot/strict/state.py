"""The dialogue's state as it travels: compact JSON, without the words of past turns."""

from dataclasses import dataclass, field
from typing import Any

VERSION = 2
LONGEST_SLOT = 200


class MalformedState(ValueError):
    """The state that came with a turn is not one that this bot gave out."""


@dataclass
class State:
    """Where a conversation stands between two turns.

    slots: what a running form has heard so far, with `requested_slot` and `need`, and `offered` (a need).
    loop: the running form's name. missed: misunderstandings in a row, 0 or 1.
    """

    slots: dict[str, str] = field(default_factory=dict)
    loop: str | None = None
    missed: int = 0

    def as_json(self) -> dict[str, Any]:
        """At most a few hundred bytes of slots for each question of one form."""
        return {"v": VERSION, "slots": self.slots, "loop": self.loop, "missed": self.missed}


def read_state(data: object, forms: dict[str, list[str]]) -> State:
    """The state from JSON, None meaning a new conversation; raises MalformedState.

    forms: for each form's name, its slots in the order they are asked for.
    """
    if data is None:
        return State()
    if not isinstance(data, dict) or set(data) != {"v", "slots", "loop", "missed"} or data["v"] != VERSION:
        raise MalformedState("not a state of this version")
    slots, loop, missed = data["slots"], data["loop"], data["missed"]
    if type(missed) is not int or missed not in (0, 1):
        raise MalformedState("missed is 0 or 1")
    if loop is not None and (not isinstance(loop, str) or loop not in forms):
        raise MalformedState("no such form")
    _check_slots(slots, set(forms[loop]) if loop else set())
    return State(dict(slots), loop, missed)


def _check_slots(slots: object, asked: set[str]) -> None:
    known = asked | {"offered"} | ({"requested_slot", "need"} if asked else set())
    if not isinstance(slots, dict) or not set(slots) <= known:
        raise MalformedState("slots that are not kept here")
    if not all(isinstance(value, str) and len(value) <= LONGEST_SLOT for value in slots.values()):
        raise MalformedState("a slot is a short string")
    if asked and slots.get("requested_slot") not in asked:
        raise MalformedState("a running form has asked for one of its slots")
    if asked and "need" not in slots:
        raise MalformedState("a running form is about a need")
