"""Whether the person's words may be seen by those who don't need them: asked once, in plain words, and revocable.

Refusing blocks no help. It narrows who sees what was said to the worker who takes the case; danger to life
overrides it, and the override is on record.
"""

import re

from sqlalchemy import delete, select

from handoff.model.words import Channel, Need, Risk, Speaker
from handoff.model.yes_no import LONGEST, yes_or_no
from handoff.service.effects import Turned
from handoff.service.opening import Desk, open_cases
from handoff.service.phrases import Phrases
from handoff.store.tables import Recording, Turn

NOT_ASKED, ASKED, UNANSWERED, GIVEN, REFUSED = "not_asked", "asked", "unanswered", "given", "refused"
OVERRIDDEN = "overridden"

_BESIDES = 10
"""So many characters beside the words about consent tell nothing of their own."""
_REPLAYS = ("talk_repeat", "talk_slower", "talk_louder")
_TAKES_BACK = re.compile(
    r"(反悔|后悔|收回|撤回|取消|不).{0,3}同意"
    r"|(不|莫|别|甭|不要|不想|不愿意|不准|不许)(给|让|叫|跟|对|和|拿给)?(别人|别个|人家|旁人|外人|他们|她们|社工|村里|村上|屋里人|娃儿|儿子|大家)"
    r".{0,3}(看|听|知道|晓得|讲|说)"
    r"|(不要|莫|别|甭|不想)(往外|到处|拿出去)(说|讲|传)|(莫|别|甭|不要)(说|讲|传)出去"
    r"|(话|说的|记录|记的|录音).{0,4}(删|抹|擦|莫留|别留)|(删|抹|擦)(掉|了|去|除)?.{0,4}(话|说的|记录|记的|录音)"
)
_AGREES = re.compile(
    r"^(那)?我?(又|还是|现在|这会儿)?(同意|愿意)(了|给.{0,4}看|让.{0,4}看)|(可以|能)(给|让)(他们|社工|别人|大家)看(了|吧|嘛)"
)


def takes_back(text: str) -> bool:
    """Whether little else is said than that the words are not to be seen: about them, not about a danger."""
    return len(text.strip()) <= LONGEST and bool(_TAKES_BACK.search(text))


class Consent:
    """Asks for consent, and hears it given, refused and taken back."""

    def __init__(self, desk: Desk, phrases: Phrases, *, records_calls: bool) -> None:
        """`records_calls`: whether the sound of a call is kept too, where the person agrees."""
        self._desk = desk
        self._phrases = phrases
        self._records_calls = records_calls

    def ask(self, turned: Turned) -> None:
        """The question, as the last sentence of the reply that tells the first number; not while there is danger."""
        talk, composed = turned.talk, turned.composed
        in_danger = Risk(talk.risk).at_least(Risk.URGENT) or bool(talk.questions)
        if not composed.opened or composed.stop or in_danger or talk.consent != NOT_ASKED:
            return
        talk.consent = ASKED
        key = "consent_ask"
        if self._records_calls and talk.channel == Channel.PHONE:
            talk.recording, key = ASKED, "consent_ask_sound"
        composed.say(self._phrases[key if talk.speaker == Speaker.SELF else f"{key}_other"])

    async def hear(self, turned: Turned, text: str, intent: str) -> bool:
        """Put on record what the utterance says about consent; True where it says nothing else and is answered."""
        said = text.strip()[: LONGEST + 1]
        answer = self._answer_to_question(turned, said, intent)
        if answer == GIVEN and turned.talk.recording == ASKED:
            turned.talk.recording = GIVEN
        if turned.talk.consent == ASKED and intent not in _REPLAYS:
            turned.talk.consent = UNANSWERED  # a yes counts only right after the question
        rest = 0
        if answer is None and (found := _TAKES_BACK.search(said) or _AGREES.search(said)):
            answer = REFUSED if _TAKES_BACK.search(said) else GIVEN
            rest = len(said) - len(found[0])
        if answer is not None:
            await self._put_on_record(turned, answer)
        # Who takes the consent back does not take the matter back, though it sounds alike.
        return answer is not None and (rest <= _BESIDES or intent == "talk_cancel")

    @staticmethod
    def _answer_to_question(turned: Turned, said: str, intent: str) -> str | None:
        answer = yes_or_no(said, intent) if turned.talk.consent == ASKED else None
        return None if answer is None else GIVEN if answer else REFUSED

    async def _put_on_record(self, turned: Turned, answer: str) -> None:
        turned.talk.consent = answer
        if answer == REFUSED:
            turned.talk.recording = REFUSED
            await _forget_sounds(turned)
        standing = await open_cases(turned.session, turned.talk.id)
        for case in standing:
            turned.changes.case(case)
            if case.consent != OVERRIDDEN:
                case.consent = answer
                self._desk.record(
                    turned.session, case, "consent", content={"consent": answer}, turn_id=turned.turn_id
                )
        life = any(case.consent == OVERRIDDEN and case.need != Need.ABUSE for case in standing)
        key = "consent_overridden" if life and answer == REFUSED else f"consent_{answer}"
        turned.composed.say(self._phrases[key])


async def _forget_sounds(turned: Turned) -> None:
    theirs = select(Turn.id).where(Turn.conversation_id == turned.talk.id)
    await turned.session.execute(delete(Recording).where(Recording.turn_id.in_(theirs)))
