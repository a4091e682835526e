"""One turn, from what came in to what is said back: stored and screened first, answered second."""

import asyncio
import hashlib
import secrets
from dataclasses import replace
from typing import Any
from weakref import WeakValueDictionary

import structlog
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.model.clock import Clock
from handoff.model.danger import Finding
from handoff.model.errors import HandoffError
from handoff.model.hotlines import LAST_HELP, Hotlines
from handoff.model.nouns import MAX_TEXT, DialogueAnswer, Opening, Outcome, ReplyView, Utterance
from handoff.model.triage import need_of
from handoff.model.words import Channel, DangerKind, Need, Purpose, Risk
from handoff.service.accumulating import Accumulating
from handoff.service.addresses import address_of, newest_talk
from handoff.service.after import Changes
from handoff.service.answering import Accepted, Answering
from handoff.service.away import begin_anew, has_been_away
from handoff.service.called import Called
from handoff.service.checking import CALLER, Checking
from handoff.service.consent import takes_back
from handoff.service.dispatch import Dispatch
from handoff.service.effects import Composed, Effects, Turned, status_words
from handoff.service.identity import is_shared, known_cases
from handoff.service.opening import Desk, Matter, open_cases
from handoff.service.ports import DialogueError
from handoff.service.replying import add_reply
from handoff.service.returning import Returning
from handoff.service.understanding import Understander, clean_text
from handoff.store.database import Store, StoreError, rows_changed
from handoff.store.tables import Address, Call, Case, Conversation, Reply, Station, Turn, Worker

log = structlog.get_logger()

_SHORT_ANSWER = 12  # characters; who says more tells something of their own, whatever was asked


class UnknownConversation(HandoffError):
    """The token names no conversation."""

    def __init__(self) -> None:
        super().__init__("unknown_conversation", "这次谈话已经结束了，请重新开始。")


class Turns:
    """Takes utterances; every one accepted is stored before anything else is asked."""

    def __init__(
        self, store: Store, understander: Understander, hotlines: Hotlines, dispatch: Dispatch, clock: Clock,
        *, records_calls: bool = False,
    ) -> None:  # fmt: skip
        """`records_calls`: whether callers are asked if the sound of their words may be kept too."""
        self._store = store
        self._understander = understander
        self._phrases = understander.phrases
        self._hotlines = hotlines
        for number in self._phrases.numbers():
            hotlines.find(number)
        self._dispatch = dispatch
        self._clock = clock
        self._desk = Desk(clock)
        self._effects = Effects(self._desk, self._phrases, understander.consulting)
        self._answering = Answering(self._desk, self._effects, self._phrases, records_calls=records_calls)
        self._returning = Returning(self._effects, self._phrases)
        self._called = Called(self._desk, self._effects, self._phrases)
        self._checking = Checking(self._desk, self._effects, self._phrases, self._called)
        self._accumulating = Accumulating(understander.screen, clock)
        self._locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    async def begin(self, opening: Opening) -> tuple[str, ReplyView]:
        """Begin a conversation: its token, and the greeting."""
        async with self._store.write() as session:
            talk = await self._new_talk(session, opening)
            words = [self._phrases[_greeting(opening.channel)]]
            if await is_shared(session, talk):
                # Who says what they want instead of who they are is heard all the same.
                talk.asked = {"step": CALLER}
                words.append(self._phrases["who_calls"])
            reply = await self._add_reply(session, talk, Composed(words), None)
        return talk.token, view(reply)

    async def begin_call(self, call_id: int) -> tuple[str, ReplyView]:
        """Somebody has taken a call that we made: the token of its conversation, and the first words.

        Who was cut off goes on where they were.
        """
        async with self._store.write() as session:
            call = await session.get_one(Call, call_id)
            case = await session.get_one(Case, call.case_id)
            address = await session.get_one(Address, call.address_id)
            talk = await session.get_one(Conversation, case.conversation_id, with_for_update=True)
            words, asked = await self._called.first_words(session, call, case)
            if call.purpose != Purpose.CALL_BACK or talk.address_id != address.id:
                talk = await self._new_talk(session, Opening(Channel.PHONE, address=str(address.value)))
                talk.village_id = talk.village_id or case.village_id
                talk.asked = asked
            call.conversation_id = talk.id
            reply = await self._add_reply(session, talk, Composed([words]), None)
        return talk.token, view(reply)

    async def _new_talk(self, session: AsyncSession, opening: Opening) -> Conversation:
        token, now = secrets.token_urlsafe(24), self._clock.now()
        address = (
            await address_of(session, opening.channel, opening.address, now) if opening.address else None
        )
        talk = Conversation(
            token=token, channel=opening.channel, speaker=opening.speaker, risk=Risk.ROUTINE, questions=[], speed=1.0, volume=1.0,
            address_id=address.id if address else None, village_id=address.village_id if address else None, started_at=now,
        )  # fmt: skip
        session.add(talk)
        await session.flush()
        if opening.station:
            await self._settle(session, talk, opening.station)
        return talk

    async def _settle(self, session: AsyncSession, talk: Conversation, station: str) -> None:
        """The station where somebody is, or whose sign they have scanned, says which village they belong to."""
        named = select(Station).where(Station.code == station)
        found = await session.scalar(named) if station.isprintable() else None
        if found is None:
            return
        talk.station_id, talk.village_id = found.id, found.village_id
        if talk.address_id is not None:
            (await session.get_one(Address, talk.address_id)).village_id = found.village_id

    async def of_address(self, opening: Opening) -> str:
        """The token of the one lasting conversation with an address; begun without a word where there is none."""
        if opening.address is None:
            raise ValueError("an address is needed")
        if opening.station is None:
            # Most messages: nothing is to be written, and who only reads need not queue up.
            async with self._store.read() as session:
                talk = await newest_talk(session, opening.channel, opening.address)
                if talk is not None and not await self._may_be_another(session, talk):
                    return talk.token
        async with self._store.write() as session:
            talk = await newest_talk(session, opening.channel, opening.address)
            if talk is None or await self._may_be_another(session, talk):
                talk = await self._new_talk(session, opening)
            elif opening.station is not None:
                await self._settle(session, talk, opening.station)
            return talk.token

    async def last_matter(self, token: str) -> str | None:
        """How the newest matter stands that may be shown here; None where there is none, or it is of violence."""
        async with self._store.read() as session:
            cases = await known_cases(session, await conversation(session, token))
            shown = [case for case in cases or () if case.need != Need.ABUSE]
            return "".join(await status_words(session, self._phrases, shown[0])) if shown else None

    async def _may_be_another(self, session: AsyncSession, talk: Conversation) -> bool:
        """Who speaks after some hours on a shared telephone may be anybody there, and begins anew."""
        if talk.held_by is not None or not await is_shared(session, talk):
            return False
        return await has_been_away(session, talk, self._clock.now())

    async def say(self, token: str, phrase: str, *, once: str | None = None, **fields: str) -> ReplyView:
        """Say one of the service's own phrases into a conversation; `once`: what it is said for, and not said again for."""
        reply_id = hashlib.sha256(once.encode()).hexdigest()[:32] if once else None
        async with self._store.write() as session:
            talk = await conversation(session, token, lock=True)
            said = await session.get(Reply, reply_id) if reply_id else None
            words = Composed([self._phrases.say(phrase, **fields)])
            return view(said or await self._add_reply(session, talk, words, None, reply_id))

    async def note(self, utterance: Utterance, phrase: str) -> Outcome:
        """Put on record what is not words (a picture, a place), and say this phrase; a repeat gets the same outcome."""
        changes = Changes()
        try:
            async with self._store.write() as session:
                talk = await conversation(session, utterance.conversation, lock=True)
                text = clean_text(utterance.text)[:MAX_TEXT]
                turn = self._new_turn(talk, utterance, text, Finding(Risk.ROUTINE, (), ()))
                turn.need, turn.answered_at = Need.UNCLEAR, self._clock.now()
                turn.state = "held" if talk.held_by is not None else "answered"
                session.add(turn)
                await session.flush()
                if talk.held_by is not None:
                    turned = Turned(session, talk, turn.id, text, Risk.ROUTINE, changes, Composed())
                    outcome = await self._outcome_of_held(turned, turn)
                else:
                    reply = await self._add_reply(session, talk, Composed([self._phrases[phrase]]), turn.id)
                    outcome = Outcome(turn.id, turn.text, view(reply))
        except IntegrityError:
            repeated = await self._repeated(utterance)
            return repeated if isinstance(repeated, Outcome) else await self._answer(repeated)
        await self._dispatch.announce(changes)
        return outcome

    async def take(self, utterance: Utterance) -> Outcome:
        """Store, screen and answer one utterance; a repeat of its message id returns the same outcome."""
        accepted = await self._accept(utterance)
        return accepted if isinstance(accepted, Outcome) else await self._answer(accepted)

    async def finish(self, turn_id: int) -> None:
        """Answer a turn that was accepted and, by a crash, never answered."""
        accepted = await self._reload(turn_id)
        if accepted.turn.state == "received":
            await self._answer(accepted)

    # -- first transaction: stored, screened, and in danger a case opened and people told ----------------

    async def _accept(self, utterance: Utterance) -> Accepted | Outcome:
        # Beside the loop, which has others to listen to: reading a sentence takes twenty milliseconds.
        finding = await asyncio.to_thread(
            self._understander.screen.screen_heard, utterance.text, utterance.others, confidence=utterance.confidence
        )  # fmt: skip
        finding = replace(finding, why=tuple(map(clean_text, finding.why)))
        if finding.risk is Risk.ATTENTION and not finding.kinds and takes_back(utterance.text):
            finding = Finding(Risk.ROUTINE, (), ())
        changes = Changes()
        try:
            async with self._store.write() as session:
                talk = await conversation(session, utterance.conversation, lock=True)
                if await has_been_away(session, talk, self._clock.now()):
                    begin_anew(talk)
                text = clean_text(utterance.text)[:MAX_TEXT]
                finding = await self._accumulating.weigh(session, talk, text, finding)
                turn = self._new_turn(talk, utterance, text, finding)
                session.add(turn)
                await session.flush()
                outcome = await self._at_once(session, talk, turn, finding, changes)
        except IntegrityError:
            return await self._repeated(utterance)
        except StoreError as error:
            raise StoreError(error.code, self._unkept_words(finding)) from error
        await self._dispatch.announce(changes)
        return outcome or _accepted(turn, talk)

    def unkept_words(self, text: str) -> str:
        """What a person hears for whom nothing can be stored, so that nobody is told: in danger, whom to call."""
        return self._unkept_words(self._understander.screen.screen(text))

    def _unkept_words(self, finding: Finding) -> str:
        if not finding.risk.at_least(Risk.URGENT):
            return self._phrases.say("not_stored", call=LAST_HELP)
        return self._phrases.say("not_kept", call=self._understander.danger_words(finding).call or LAST_HELP)

    def _new_turn(self, talk: Conversation, utterance: Utterance, text: str, finding: Finding) -> Turn:
        return Turn(
            conversation_id=talk.id, message_id=utterance.message_id, text=text,
            confidence=utterance.confidence, engine=utterance.engine, risk=finding.risk, kinds=[*finding.kinds], why=[*finding.why],
            state="received", received_at=self._clock.now(),
        )  # fmt: skip

    async def _at_once(
        self, session: AsyncSession, talk: Conversation, turn: Turn, finding: Finding, changes: Changes
    ) -> Outcome | None:
        """Danger is answered, and a held conversation passed on, in the very transaction that stores the words."""
        if finding.risk.rank > Risk(talk.risk).rank:
            talk.risk = finding.risk
        turned = Turned(session, talk, turn.id, turn.text, finding.risk, changes, Composed())
        # A short suspicion in reply to a danger question ("都锁起来了") is the answer to it, and is weighed as that.
        is_answer = bool(talk.questions) and finding.suspected and len(turn.text) <= _SHORT_ANSWER
        danger = finding.risk.at_least(Risk.URGENT) and not is_answer
        if danger:
            await self._meet_danger(turned, turn, finding)
        if talk.held_by is not None and finding.risk is not Risk.EMERGENCY:
            return await self._pass_to_worker(turned, turn)
        if not danger:
            return None
        turn.state, turn.answered_at = "answered", self._clock.now()
        reply = await self._add_reply(session, talk, turned.composed, turn.id)
        return Outcome(turn.id, turn.text, view(reply, await holder(session, talk)))

    async def _meet_danger(self, turned: Turned, turn: Turn, finding: Finding) -> None:
        turned.composed = self._understander.first_words(finding)
        turn.need, turn.need_confidence = need_of(finding.kinds, finding.risk), 1.0
        matter = Matter(
            need_of(finding.kinds, finding.risk), finding.risk, finding.kinds, finding.why, turn.id
        )
        await self._effects.open(turned, matter)
        words = self._understander.danger_words(finding)
        self._answering.ask_about_danger(
            turned, words, said="".join(finding.why), emergency=finding.risk is Risk.EMERGENCY
        )
        # A form that was being filled in is not what matters now.
        turned.talk.dialogue = None
        turned.talk.version += 1

    async def _pass_to_worker(self, turned: Turned, turn: Turn) -> Outcome:
        turn.state, turn.answered_at = "held", self._clock.now()
        return await self._outcome_of_held(turned, turn)

    async def _outcome_of_held(self, turned: Turned, turn: Turn) -> Outcome:
        """No reply of ours, but to who says who they are; the worker's console is told that something was said."""
        session, talk = turned.session, turned.talk
        for case in await open_cases(session, talk.id):
            turned.changes.case(case)
        held_by = await holder(session, talk)
        turned.composed = Composed()
        if not await self._checking.hear_who(turned, turn.text):
            return Outcome(turn.id, turn.text, None, held_by)
        reply = await self._add_reply(session, talk, turned.composed, turn.id)
        return Outcome(turn.id, turn.text, view(reply, held_by), held_by)

    async def _repeated(self, utterance: Utterance) -> Accepted | Outcome:
        async with self._store.read() as session:
            talk = await conversation(session, utterance.conversation)
            same = (Turn.conversation_id == talk.id) & (Turn.message_id == utterance.message_id)
            turn = await session.scalar(select(Turn).where(same))
            if turn is None:
                raise HandoffError("not_stored", "这句话没有存上，请再说一次。")
            return _accepted(turn, talk) if turn.state == "received" else await _outcome(session, talk, turn)

    # -- asking the dialogue engine, outside any transaction; then the second transaction ----------------

    async def _answer(self, accepted: Accepted) -> Outcome:
        """In the order of the conversation: one answer at a time, since each goes on from the last."""
        lock = self._locks.setdefault(accepted.talk.id, asyncio.Lock())
        has_waited = lock.locked()
        async with lock:
            if has_waited:
                accepted = await self._reload(accepted.turn.id)
            while True:
                outcome = await self._finish(accepted, await self._ask(accepted))
                if outcome is not None:
                    return outcome
                accepted = await self._reload(accepted.turn.id)

    async def _ask(self, accepted: Accepted) -> DialogueAnswer | None:
        """None where the engine gave nothing usable; then a person is asked instead."""
        turn, talk = accepted.turn, accepted.talk
        if not turn.text or turn.state != "received":
            return None
        try:
            answer = await self._understander.ask(
                turn.text, talk.dialogue, channel=talk.channel, speaker=talk.speaker
            )
        except DialogueError as error:
            log.warning("dialogue.failed", code=error.code, turn=turn.id)
            return None
        if all(self._effects.knows(effect) for effect in answer.effects):
            return answer
        log.error("dialogue.unknown_effect", turn=turn.id)
        return None

    async def _finish(self, accepted: Accepted, answer: DialogueAnswer | None) -> Outcome | None:
        """None where the conversation has gone on since the engine was asked: it must be asked again."""
        changes = Changes()
        async with self._store.write() as session:
            talk = await session.get_one(Conversation, accepted.talk.id, with_for_update=True)
            need, confidence = self._answering.need_of_turn(accepted, answer)
            # A worker who took the conversation over while the engine was asked is the one who answers.
            state = "held" if talk.held_by is not None else "answered"
            if not await self._claim_turn(session, accepted.turn, need, confidence, state):
                return await _outcome(session, talk, await session.get_one(Turn, accepted.turn.id))
            if talk.version != accepted.talk.version:
                await session.rollback()
                return None
            turn, risk = accepted.turn, accepted.finding.risk
            turned = Turned(session, talk, turn.id, turn.text, risk, changes, Composed())
            if state == "held":
                outcome = await self._outcome_of_held(turned, accepted.turn)
            else:
                talk.version += 1
                if await has_been_away(session, talk, turn.received_at, before=turn.id):
                    await self._returning.welcome(turned)
                if not await self._checking.hear(turned, turn.text, answer.intent if answer else ""):
                    await self._answering.compose(turned, accepted, answer, need)
                reply = await self._add_reply(session, talk, turned.composed, accepted.turn.id)
                outcome = Outcome(
                    accepted.turn.id, accepted.turn.text, view(reply, await holder(session, talk))
                )
        await self._dispatch.announce(changes)
        return outcome

    async def _claim_turn(
        self, session: AsyncSession, turn: Turn, need: Need, confidence: float, state: str
    ) -> bool:
        """Exactly one answer wins, whoever else tried (a repeat, another process, the engine after a crash)."""
        unanswered = update(Turn).where(Turn.id == turn.id, Turn.state == "received")
        answered = {
            "state": state,
            "answered_at": self._clock.now(),
            "need": need,
            "need_confidence": confidence,
        }
        return await rows_changed(session, unanswered.values(answered)) == 1

    async def _reload(self, turn_id: int) -> Accepted:
        async with self._store.read() as session:
            turn = await session.get_one(Turn, turn_id)
            return _accepted(turn, await session.get_one(Conversation, turn.conversation_id))

    async def _add_reply(
        self,
        session: AsyncSession,
        talk: Conversation,
        composed: Composed,
        turn_id: int | None,
        reply_id: str | None = None,
    ) -> Reply:
        """The first attempt to deliver it is the answer to the request itself."""
        now = self._clock.now()
        call = self._hotlines.to_call(composed.call, now)
        shown: dict[str, Any] = {
            "number": composed.number,
            "village": composed.village,
            "call": call,
            "stop": composed.stop,
        }
        reply, _ = await add_reply(
            session, talk, composed.text, now, turn_id=turn_id, reply_id=reply_id, **shown
        )
        return reply


def _greeting(channel: Channel) -> str:
    return "greeting_phone" if channel is Channel.PHONE else "greeting"


def _accepted(turn: Turn, talk: Conversation) -> Accepted:
    finding = Finding(Risk(turn.risk), tuple(DangerKind(kind) for kind in turn.kinds), tuple(turn.why))
    return Accepted(turn, talk, finding)


def view(reply: Reply, held_by: str | None = None) -> ReplyView:
    """The reply as connectors show it."""
    author = "worker" if reply.worker_id else "assistant"
    return ReplyView(id=reply.id, text=reply.text, author=author, held_by=held_by, **reply.shown)


async def holder(session: AsyncSession, talk: Conversation) -> str | None:
    """The display name of the worker who holds the conversation."""
    worker = await session.get(Worker, talk.held_by) if talk.held_by else None
    return worker.display_name if worker else None


async def conversation(session: AsyncSession, token: str, *, lock: bool = False) -> Conversation:
    """The conversation of a token, with `lock` for this transaction alone; raises UnknownConversation."""
    found = select(Conversation).where(Conversation.token == token)
    # What no store can carry is nobody's token either.
    talk = await session.scalar(found.with_for_update() if lock else found) if token.isprintable() else None
    if talk is None:
        raise UnknownConversation
    return talk


async def _outcome(session: AsyncSession, talk: Conversation, turn: Turn) -> Outcome:
    reply = await session.scalar(select(Reply).where(Reply.turn_id == turn.id))
    held_by = await holder(session, talk)
    return Outcome(turn.id, turn.text, view(reply, held_by) if reply else None, held_by)
