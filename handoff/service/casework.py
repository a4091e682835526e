"""What workers do with cases. The worker keeps the last word: only a worker claims, lowers, moves, closes."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.model.clock import Clock
from handoff.model.errors import HandoffError
from handoff.model.words import Need, Risk, Stage, highest
from handoff.service.after import Changes
from handoff.service.calls import Calls
from handoff.service.cards import make_card, void_cards
from handoff.service.dispatch import Dispatch
from handoff.service.identity import is_shared, put_on_record
from handoff.service.keeping import tell
from handoff.service.opening import OPEN, Desk, open_cases
from handoff.service.phrases import Phrases
from handoff.service.replying import courtesy
from handoff.store.database import Store, rows_changed
from handoff.store.tables import Case, Conversation, Task, Worker

MAX_REPLY = 2000  # characters a worker may send at once
MAX_REMINDER = 80  # characters; more is not kept in mind by hearing it
REMINDS_WITHIN = timedelta(days=60)
NOT_DONE = ("联系不上", "本人不要了")
"""Outcomes after which nobody is asked whether it helped."""


class CaseworkError(HandoffError):
    """A worker asked for something that the case's state or the worker's role does not allow."""


@dataclass
class _Act:
    """One act of a worker on a case, inside its transaction."""

    session: AsyncSession
    case: Case
    talk: Conversation
    worker: Worker
    changes: Changes


class Casework:
    """Claim, acknowledge, reply, note, risk, stage, close."""

    def __init__(
        self, store: Store, phrases: Phrases, dispatch: Dispatch, calls: Calls, clock: Clock
    ) -> None:
        self._store = store
        self._calls = calls
        self._phrases = phrases
        self._dispatch = dispatch
        self._clock = clock
        self._desk = Desk(clock)

    async def claim(self, case_id: int, worker_id: int) -> None:
        """Take the case; of several who try, exactly one gets it."""
        async with self._act(case_id, worker_id) as act:
            now = self._clock.now()
            free = update(Case).where(Case.id == case_id, Case.claimed_by.is_(None), OPEN)
            won = await rows_changed(act.session, free.values(claimed_by=worker_id, claimed_at=now))
            if not won:
                raise CaseworkError("already_claimed", "这件事已经有人接了，或者已经结了。")
            await act.session.refresh(act.case)
            act.case.acknowledged_at = act.case.acknowledged_at or now
            act.talk.held_by = act.talk.held_by or worker_id
            self._desk.record(act.session, act.case, "claimed", worker_id=worker_id)
            await self._tell_person(
                act, self._phrases.say("claimed", worker=act.worker.display_name), by_worker=False
            )

    async def acknowledge(self, case_id: int, worker_id: int) -> None:
        """Somebody has seen the alarm; its clock stops."""
        async with self._act(case_id, worker_id) as act:
            if act.case.acknowledged_at is None:
                act.case.acknowledged_at = self._clock.now()
                self._desk.record(act.session, act.case, "acknowledged", worker_id=worker_id)

    async def reply(self, case_id: int, worker_id: int, text: str) -> str:
        """Speak to the person in their own channel; returns the reply's id."""
        words = _needed(text, "还没写要说的话。")[:MAX_REPLY]
        async with self._mine(case_id, worker_id) as act:
            self._desk.record(act.session, act.case, "replied", worker_id=worker_id)
            done = update(Task).where(Task.case_id == case_id, Task.kind == "call", Task.done_at.is_(None))
            await act.session.execute(done.values(done_at=self._clock.now()))
            return await self._tell_person(act, words, by_worker=True)

    async def note(self, case_id: int, worker_id: int, text: str) -> None:
        """Write down something for colleagues; the person doesn't see it."""
        words = _needed(text, "还没写备注。")
        async with self._act(case_id, worker_id) as act:
            self._desk.record(act.session, act.case, "noted", worker_id=worker_id, content={"text": words})

    async def name_person(
        self, case_id: int, worker_id: int, name: str, called: str = "", phone: str = ""
    ) -> None:
        """Put on record whom the case is about (服务对象), how they like to be spoken to, and their telephone."""
        name, phone = _needed(name, "还没写姓名。")[:40], _phone(phone)
        async with self._mine(case_id, worker_id) as act:
            person = await put_on_record(act.session, act.talk, act.case, name, phone, self._clock.now())
            person.called = called.strip()[:12] or person.called
            act.case.person_id = person.id
            # On a shared telephone the worker knows whose matter it is, not who is speaking.
            shared = await is_shared(act.session, act.talk)
            act.talk.person_id = None if shared and act.talk.person_id != person.id else person.id
            self._desk.record(act.session, act.case, "person_named", worker_id=worker_id)

    async def make_card(self, case_id: int, worker_id: int) -> None:
        """A station card for whom the case is about; one they had is void."""
        async with self._mine(case_id, worker_id) as act:
            await make_card(act.session, _whose(act.case), worker_id, self._clock.now())
            self._desk.record(act.session, act.case, "card_made", worker_id=worker_id)

    async def void_card(self, case_id: int, worker_id: int) -> None:
        """Their card is lost: nobody is known by it any more."""
        async with self._mine(case_id, worker_id) as act:
            await void_cards(act.session, _whose(act.case), self._clock.now())
            self._desk.record(act.session, act.case, "card_void", worker_id=worker_id)

    async def set_risk(self, case_id: int, worker_id: int, risk: Risk, reason: str) -> None:
        """Raise or lower the risk; lowering needs a reason."""
        async with self._mine(case_id, worker_id) as act:
            before = Risk(act.case.risk)
            if risk.rank < before.rank:
                reason = _needed(reason, "调低风险要写明理由。")
            act.case.risk = risk
            standing = await open_cases(act.session, act.talk.id)
            act.talk.risk = highest(*(Risk(case.risk) for case in standing))
            self._desk.record(
                act.session,
                act.case,
                "risk_set",
                worker_id=worker_id,
                content={"from": before, "to": risk, "reason": reason},
            )

    async def set_stage(self, case_id: int, worker_id: int, stage: Stage, reason: str = "") -> None:
        """Move the case to another open stage and let the person know."""
        if stage in (Stage.CLOSED, Stage.REFERRED, Stage.WITHDRAWN):
            await self.close(case_id, worker_id, stage, reason)
            return
        async with self._mine(case_id, worker_id) as act:
            self._move(act, stage, reason)
            words = self._phrases.say(
                "stage_changed", number=act.case.number, stage=self._phrases.of("stage", stage)
            )
            await self._tell_person(act, words, by_worker=False)

    async def close(self, case_id: int, worker_id: int, stage: Stage, reason: str, outcome: str = "") -> None:
        """End the case (closed, referred or withdrawn); the assistant answers the person again."""
        reason = "：".join(part for part in (outcome, _needed(reason, "结案要写明结果。")) if part)
        async with self._mine(case_id, worker_id) as act:
            self._move(act, stage, reason)
            others = select(Case.claimed_by).where(
                Case.conversation_id == act.talk.id, Case.id != case_id, Case.claimed_by.is_not(None), OPEN
            )
            act.talk.held_by = await act.session.scalar(others.limit(1))
            act.talk.questions = []
            key = "closed" if stage is Stage.CLOSED else "stage_changed"
            words = self._phrases.say(key, number=act.case.number, stage=self._phrases.of("stage", stage))
            await self._tell_person(act, words, by_worker=False)
            if stage is Stage.CLOSED and outcome not in NOT_DONE:
                await self._calls.plan_helped(act.session, act.case)

    async def remind(self, case_id: int, worker_id: int, text: str, at: datetime) -> None:
        """Have the person rung up and told these words at that time."""
        words, now = _needed(text, "还没写要提醒什么。")[:MAX_REMINDER].rstrip("。！!. "), self._clock.now()
        if not now < at <= now + REMINDS_WITHIN:
            raise CaseworkError("bad_time", f"提醒的时间要在今天以后的 {REMINDS_WITHIN.days} 天以内。")
        if self._calls.is_quiet(at):
            raise CaseworkError("quiet_hours", "这个时候老人要休息，请换一个时间。")
        if not self._calls.possible:
            raise CaseworkError("no_telephone", "乡音这里没有接电话，打不出去。")
        async with self._mine(case_id, worker_id) as act:
            if not await self._calls.plan_reminder(act.session, act.case, at, words, worker_id):
                why = (
                    "这件事不能由机器打电话，请您自己打。"
                    if act.case.need == Need.ABUSE
                    else "还没有电话号码，请先登记服务对象的电话。"
                )
                raise CaseworkError("no_number", why)

    async def cancel_call(self, case_id: int, worker_id: int, call_id: int) -> None:
        """Don't make a planned call after all."""
        async with self._mine(case_id, worker_id) as act:
            await self._calls.cancel(act.session, act.case, call_id, worker_id)

    async def release(self, case_id: int, worker_id: int) -> None:
        """Let the assistant answer the person again while the case stays with the worker."""
        async with self._mine(case_id, worker_id) as act:
            if act.talk.held_by == worker_id:
                act.talk.held_by = None
                act.talk.questions = []
            self._desk.record(act.session, act.case, "released", worker_id=worker_id)

    def _move(self, act: _Act, stage: Stage, reason: str) -> None:
        content = {"from": act.case.stage, "to": stage, "reason": reason}
        act.case.stage = stage
        self._desk.record(act.session, act.case, "stage_set", worker_id=act.worker.id, content=content)

    async def _tell_person(self, act: _Act, text: str, *, by_worker: bool) -> str:
        worker_id = act.worker.id if by_worker else None
        if not by_worker:
            text = await courtesy(act.session, act.talk, text)
        hint, now = self._phrases["word_waits"], self._clock.now()
        reply, notice = await tell(act.session, act.talk, act.case, text, hint, now, worker_id)
        if notice is not None:
            act.changes.notices.append(notice)
        return reply.id

    @asynccontextmanager
    async def _act(self, case_id: int, worker_id: int) -> AsyncIterator[_Act]:
        """The case under a worker's hand; announces what changed once it is committed."""
        changes = Changes()
        async with self._store.write() as session:
            case = await session.get(Case, case_id)
            worker = await session.get(Worker, worker_id)
            if case is None:
                raise CaseworkError("no_such_case", "没有这个个案。")
            if worker is None or worker.disabled_at is not None or worker.role != "worker":
                raise CaseworkError("not_allowed", "您没有权限办这个个案。")
            # First, as in a turn: two who need both rows must not wait for each other; then the case anew.
            talk = await session.get_one(Conversation, case.conversation_id, with_for_update=True)
            await session.refresh(case)
            changes.conversations.add(talk.id)
            yield _Act(session, case, talk, worker, changes)
            await session.flush()
            changes.case(case)
        await self._dispatch.announce(changes)

    @asynccontextmanager
    async def _mine(self, case_id: int, worker_id: int) -> AsyncIterator[_Act]:
        """Only the worker who claimed the case may do this, and only while it is open."""
        async with self._act(case_id, worker_id) as act:
            if act.case.claimed_by != worker_id:
                raise CaseworkError("not_yours", "请先接手这个个案。")
            if not Stage(act.case.stage).is_open:
                raise CaseworkError("ended", "这个个案已经结了。")
            yield act


def _phone(text: str) -> str:
    digits = re.sub(r"[\s\-()（）+]", "", text).removeprefix("86") if text.strip() else ""
    if digits and not re.fullmatch(r"\d{7,12}", digits):
        raise CaseworkError("bad_phone", "电话号码写得不对，请再看一看。")
    return digits


def _whose(case: Case) -> int:
    if case.person_id is None:
        raise CaseworkError("nobody_named", "请先登记服务对象，再做卡。")
    return case.person_id


def _needed(text: str, otherwise: str) -> str:
    if not text.strip():
        raise CaseworkError("empty", otherwise)
    return text.strip()
