"""One turn of the dialogue, without memory of its own: the state comes in and goes out with it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rasa.core.actions.action import Action, ActionExecutionRejection
from rasa.core.channels.channel import OutputChannel, UserMessage
from rasa.core.lock_store import InMemoryLockStore
from rasa.core.nlg import NaturalLanguageGenerator, TemplatedNaturalLanguageGenerator
from rasa.core.policies.policy import PolicyPrediction
from rasa.core.processor import MessageProcessor
from rasa.core.tracker_store import InMemoryTrackerStore
from rasa.shared.core.constants import ACTION_LISTEN_NAME, REQUESTED_SLOT
from rasa.shared.core.events import (
    ActionExecuted,
    ActionExecutionRejected,
    ActiveLoop,
    Event,
    SlotSet,
    UserUttered,
)
from rasa.shared.core.trackers import DialogueStateTracker

from strict.reading import ASKED, KEEPS_OFFER, SKIPPED, Reading, read
from strict.state import LONGEST_SLOT, State
from strict.told import answers_only_others, told_unasked

LONGEST_QUOTE = 10


class DialogueCrashed(RuntimeError):
    """Something raised while the dialogue was answering; nothing of what it said may be used."""


@dataclass(frozen=True)
class Answer:
    """What the dialogue made of one utterance; `messages` in the order they are to be said or done."""

    reading: Reading
    messages: list[dict[str, Any]]
    state: State


class Collector(OutputChannel):
    """Keeps what the dialogue says (`text`) and what it wants done (`effect`), in order."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    @classmethod
    def name(cls) -> str:
        """The channel's name in Rasa."""
        return "strict"

    async def send_text_message(self, recipient_id: str, text: str, **kwargs: Any) -> None:
        """Keeps one piece of speech."""
        self.messages.append({"text": text})

    async def send_custom_json(self, recipient_id: str, json_message: dict[str, Any], **kwargs: Any) -> None:
        """Keeps one effect; its `effect` field is its name."""
        fields = {key: value for key, value in json_message.items() if key != "effect"}
        self.messages.append({"effect": {"name": json_message["effect"], **fields}})


class QuotingSpeech(TemplatedNaturalLanguageGenerator):
    """Responses in which `{quote}` is what the form has just heard, cut short enough to be read back."""

    async def generate(
        self, utter_action: str, tracker: DialogueStateTracker, output_channel: str, **kwargs: Any
    ) -> dict[str, Any] | None:
        """One variant of a response, filled in."""
        slots = tracker.current_slot_values()
        forms = (f"{slots.get('need')}_", "matter_")
        heard = [v for k, v in slots.items() if k.startswith(forms) and v and v != SKIPPED]
        quote = "，".join(_cut(value) for value in heard)
        if utter_action == "utter_noted" and not quote:
            utter_action = "utter_noted_bare"
        return await super().generate(utter_action, tracker, output_channel, quote=quote, **kwargs)


def _cut(value: str) -> str:
    said = value.strip(" ，。！？、,.!?")
    return said if len(said) <= LONGEST_QUOTE else said[:LONGEST_QUOTE] + "……"


def _circuit_broken(*_args: object) -> None:
    raise DialogueCrashed("action limit reached")


class StrictProcessor(MessageProcessor):
    """Rasa's processor, except that nothing raised is swallowed and nothing is stored."""

    def __init__(self, model_path: Path) -> None:
        """Loads the model; raises whatever Rasa raises when the archive is damaged."""
        speech = QuotingSpeech({})
        super().__init__(
            model_path,
            InMemoryTrackerStore(None),
            InMemoryLockStore(),
            speech,
            on_circuit_break=_circuit_broken,
        )
        speech.responses = self.domain.responses
        self.forms = {name: self.domain.required_slots_for_form(name) for name in self.domain.form_names}

    async def answer(self, text: str, sender: str, state: State, metadata: dict[str, Any]) -> Answer:
        """One turn; raises DialogueCrashed, or whatever the understanding raised."""
        parsed = await self.parse_message(UserMessage(text, sender_id=sender))
        shares = {item["name"]: item["confidence"] for item in parsed["intent_ranking"]}
        reading = read(text, shares, parsed["answer_share"], state)
        channel = Collector()
        known = _known(reading, metadata)
        tracker = self._tracker_before(sender, state, reading, known)
        uttered = self._uttered(text, reading, metadata, state, parsed["entities"])
        tracker.update(uttered, self.domain)
        await self.run_action_extract_slots(channel, tracker)
        await self._run_prediction_loop(channel, tracker)
        return Answer(reading, channel.messages, self._state_after(tracker, reading, known))

    def _tracker_before(
        self, sender: str, state: State, reading: Reading, known: str | None
    ) -> DialogueStateTracker:
        """The conversation as the rules must see it: where it stood, less what this utterance ends."""
        in_form = state.loop is not None and not reading.leaves_form
        need = state.slots["need"] if in_form else reading.need
        slots: dict[str, Any] = {
            key: value for key, value in state.slots.items() if in_form or key == "offered"
        }
        slots |= {
            "need": need,
            "known": None if in_form else known,
            "misheard": reading.act == "lost",
            "dropped": state.loop is not None and reading.leaves_form,
        }
        events: list[Event] = [SlotSet(key, value) for key, value in slots.items()]
        if in_form:
            events.append(ActiveLoop(state.loop))
        events.append(ActionExecuted(ACTION_LISTEN_NAME))
        return DialogueStateTracker.from_events(sender, events, slots=self.domain.slots)

    @staticmethod
    def _uttered(
        text: str, reading: Reading, metadata: dict[str, Any], state: State, found: list[dict[str, Any]]
    ) -> UserUttered:
        entities = []
        answers = reading.answer is not None
        need = state.slots["need"] if answers else reading.need
        asked = state.slots[REQUESTED_SLOT] if answers else None
        if reading.answer is not None and (
            reading.act == "skip" or not answers_only_others(text, need, found, asked)
        ):
            entities.append({"entity": "answer", "value": _without_brackets(reading.answer)})
        if reading.fills_first:
            entities.append({"entity": "opening", "value": _without_brackets(text.strip()[:LONGEST_SLOT])})
        if reading.fills_first or reading.act == "answer":
            # An entity of a slot's own name, so that no question is answered by what another need would ask.
            entities += [
                {"entity": slot, "value": _without_brackets(words)[:LONGEST_SLOT]}
                for slot, words in told_unasked(need, found, asked).items()
            ]
        intent = {"name": reading.intent, "confidence": reading.confidence}
        return UserUttered(text, intent, entities, input_channel=Collector.name(), metadata=metadata)

    def _state_after(self, tracker: DialogueStateTracker, reading: Reading, known: str | None) -> State:
        loop = tracker.active_loop_name
        keys = [*self.forms[loop], REQUESTED_SLOT, "need"] if loop else []
        if reading.intent in KEEPS_OFFER:
            keys.append("offered")
        if known == "offer" and not loop:
            return State({"offered": reading.need})
        slots = {key: value for key in keys if (value := tracker.get_slot(key)) is not None}
        return State(slots, loop, missed=int(reading.act == "unclear"))

    async def _run_action(
        self,
        action: Action,
        tracker: DialogueStateTracker,
        output_channel: OutputChannel,
        nlg: NaturalLanguageGenerator,
        prediction: PolicyPrediction,
    ) -> bool:
        """As upstream, but an action that raises ends the turn instead of being forgotten."""
        try:
            before = tracker.copy()
            before.update_with_events(prediction.events, self.domain)
            events = await action.run(output_channel, nlg, before, self.domain)
        except ActionExecutionRejection:
            rejected = ActionExecutionRejected(
                action.name(), prediction.policy_name, prediction.max_confidence
            )
            tracker.update(rejected)
            return self.should_predict_another_action(action.name())
        except Exception as fault:
            raise DialogueCrashed(type(fault).__name__) from fault
        self._log_action_on_tracker(tracker, action, events, prediction)
        await self._send_bot_messages(events, tracker, output_channel)
        return self.should_predict_another_action(action.name())


def _known(reading: Reading, metadata: dict[str, Any]) -> str | None:
    """How the answer that the service has for this need is followed up; what must be asked about first has none yet."""
    answers = metadata.get("answers")
    follow = answers.get(reading.need) if isinstance(answers, dict) and reading.act == "need" else None
    asked_first = follow == "open" and reading.need in ASKED
    return follow if follow in ("offer", "none", "open") and not asked_first else None


def _without_brackets(said: str) -> str:
    """Rasa's templates misread these inside a value."""
    return said.translate(dict.fromkeys(map(ord, "[]{}")))
