"""Opening a case, raising one, and telling those on duty, inside the caller's transaction."""

import secrets
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.model.clock import Clock
from handoff.model.triage import TIME_TO_HUMAN
from handoff.model.words import DangerKind, Need, Risk, Stage, highest
from handoff.service.after import Changes
from handoff.store.tables import Case, CaseEvent, Conversation, Notice, Task, Timer, Worker

OPEN = Case.stage.not_in([stage.value for stage in Stage if not stage.is_open])

# No 4, which sounds like death and is unwelcome in a number an old person must carry.
_FIRST, _REST = "12356789", "012356789"


@dataclass(frozen=True)
class Matter:
    """What a case is opened for."""

    need: Need
    risk: Risk
    kinds: tuple[DangerKind, ...] = ()
    why: tuple[str, ...] = ()
    turn_id: int | None = None
    slots: dict[str, str] | None = None


class Desk:
    """Opens and raises cases; one open case for a conversation and need."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    async def open_or_raise(
        self, session: AsyncSession, talk: Conversation, matter: Matter, changes: Changes
    ) -> tuple[Case, bool]:
        """The open case for this need, raised if need be, or a new one (True)."""
        talk.risk = highest(Risk(talk.risk), matter.risk)
        case = await find_open(session, talk.id, matter.need)
        if case is None:
            case = await self._insert(session, talk, matter)
            if case is not None:
                await self._after_opening(session, case, matter, changes)
                return case, True
            case = await _must_find(session, talk.id, matter.need)
        await self._raise(session, case, matter, changes)
        return case, False

    async def _insert(self, session: AsyncSession, talk: Conversation, matter: Matter) -> Case | None:
        """None where another process opened it at the same moment."""
        for length in (4, 4, 4, 4, 4, 4, 5, 5, 6):
            now = self.clock.now()
            case = Case(
                number=_number(length), conversation_id=talk.id, village_id=talk.village_id,
                person_id=talk.person_id, need=matter.need, risk=matter.risk, kinds=[*matter.kinds], why=[*matter.why],
                stage=Stage.INTAKE, consent=_consent(talk, matter.risk),
                opened_at=now, due_at=now + TIME_TO_HUMAN[matter.risk],
            )  # fmt: skip
            try:
                async with session.begin_nested():
                    session.add(case)
            except IntegrityError:
                if await find_open(session, talk.id, matter.need):
                    return None
            else:
                return case
        raise RuntimeError("no free case number")

    async def _after_opening(
        self, session: AsyncSession, case: Case, matter: Matter, changes: Changes
    ) -> None:
        content = {
            "need": matter.need,
            "risk": matter.risk,
            "why": [*matter.why],
            "slots": matter.slots or {},
        }
        self.record(session, case, "opened", content=content, turn_id=matter.turn_id)
        session.add(Task(case_id=case.id, kind="call", due_at=case.due_at))
        await self._start_clocks(session, case, changes)
        changes.case(case, new=True)

    async def _raise(self, session: AsyncSession, case: Case, matter: Matter, changes: Changes) -> None:
        before = Risk(case.risk)
        case.risk = highest(before, matter.risk)
        case.kinds = [kind for kind in DangerKind if kind in case.kinds or kind in matter.kinds]
        case.why = list(dict.fromkeys([*case.why, *matter.why]))
        content = {"risk": case.risk, "why": [*matter.why], "slots": matter.slots or {}}
        rose = Risk(case.risk).rank > before.rank
        self.record(session, case, "raised" if rose else "added", content=content, turn_id=matter.turn_id)
        if case.risk == Risk.EMERGENCY:
            if case.consent == "refused":
                content = {"consent": "overridden", "why": [*matter.why]}
                self.record(session, case, "consent", content=content, turn_id=matter.turn_id)
            case.consent = "overridden"
        if rose:
            case.due_at = min(case.due_at, self.clock.now() + TIME_TO_HUMAN[Risk(case.risk)])
            case.acknowledged_at = None
            await self._start_clocks(session, case, changes)
        changes.case(case, new=rose)

    async def _start_clocks(self, session: AsyncSession, case: Case, changes: Changes) -> None:
        """What can't wait is told to people at once; for everything else the queue and its clock are enough, and, where
        workers are told by WeCom, a word outside their quiet hours."""
        if case.risk == Risk.EMERGENCY:
            session.add(Timer(case_id=case.id, kind="acknowledge", due_at=case.due_at))
        # Who has only seen an emergency has not yet taken it: the clock of urgent matters runs on.
        claimed_by = max(case.due_at, self.clock.now() + TIME_TO_HUMAN[Risk.URGENT])
        session.add(Timer(case_id=case.id, kind="due", due_at=claimed_by))
        if Risk(case.risk).at_least(Risk.URGENT):
            await self.alert(session, case, changes)
        elif await session.scalar(select(Worker.id).where(Worker.wecom_id.is_not(None)).limit(1)):
            session.add(Timer(case_id=case.id, kind="tell", due_at=self.clock.now()))

    async def alert(
        self, session: AsyncSession, case: Case, changes: Changes, *, wider: bool = False
    ) -> None:
        """One more round of notices: to all on duty, and with `wider` to the next person who is not."""
        last = await session.scalar(select(func.max(Notice.round)).where(Notice.case_id == case.id))
        for worker_id in await self._to_tell(session, case, wider):
            wecom = await session.scalar(select(Worker.wecom_id).where(Worker.id == worker_id))
            notice = Notice(
                case_id=case.id,
                worker_id=worker_id,
                way="wecom" if wecom else "console",
                round=0 if last is None else last + 1,
                attempt=1,
                state="pending",
                created_at=self.clock.now(),
            )
            session.add(notice)
            changes.notices.append(notice)

    async def _to_tell(self, session: AsyncSession, case: Case, wider: bool) -> list[int]:
        able = (
            select(Worker.id).where(Worker.disabled_at.is_(None), Worker.role == "worker").order_by(Worker.id)
        )
        on_duty = list(await session.scalars(able.where(Worker.on_duty)))
        if not wider and on_duty:
            return on_duty
        told = select(Notice.worker_id).where(Notice.case_id == case.id)
        next_one = await session.scalar(
            able.where(Worker.on_duty.is_(False), Worker.id.not_in(told)).limit(1)
        )
        return [*on_duty, next_one] if next_one else on_duty

    def record(
        self,
        session: AsyncSession,
        case: Case,
        kind: str,
        *,
        content: object = None,
        turn_id: int | None = None,
        worker_id: int | None = None,
    ) -> None:
        """Add one event to the case."""
        session.add(
            CaseEvent(
                case_id=case.id,
                at=self.clock.now(),
                kind=kind,
                worker_id=worker_id,
                turn_id=turn_id,
                content=content or {},
            )
        )


async def find_open(session: AsyncSession, conversation_id: int, need: Need) -> Case | None:
    """The one open case of a conversation for this need."""
    return await session.scalar(
        select(Case).where(Case.conversation_id == conversation_id, Case.need == need, OPEN)
    )


async def open_cases(session: AsyncSession, conversation_id: int) -> list[Case]:
    """All open cases of a conversation, the gravest and newest first."""
    found = await session.scalars(select(Case).where(Case.conversation_id == conversation_id, OPEN))
    return sorted(found, key=lambda case: (-Risk(case.risk).rank, -case.id))


async def _must_find(session: AsyncSession, conversation_id: int, need: Need) -> Case:
    case = await find_open(session, conversation_id, need)
    if case is None:
        raise RuntimeError("an open case vanished inside a transaction")
    return case


def _consent(talk: Conversation, risk: Risk) -> str:
    """What was agreed to in the conversation; danger to life goes before it."""
    if risk is Risk.EMERGENCY:
        return "overridden"
    return talk.consent if talk.consent in ("given", "refused") else "not_asked"


def _number(length: int) -> str:
    """A random number; the store refuses one that another open case bears."""
    return secrets.choice(_FIRST) + "".join(secrets.choice(_REST) for _ in range(length - 1))
