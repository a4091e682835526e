"""What workers see: the queue by risk and clock, and single cases."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy import case as case_when
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.model.clock import Clock
from handoff.model.spoken import masked_name
from handoff.model.words import (
    CHANNEL_ZH,
    KIND_ZH,
    NEED_ZH,
    RISK_ZH,
    SPEAKER_ZH,
    STAGE_ZH,
    Channel,
    DangerKind,
    Need,
    Risk,
    Speaker,
    Stage,
)
from handoff.service.cards import card_of
from handoff.service.case_view import CaseView, lines_of, view_of
from handoff.service.casework import CaseworkError
from handoff.service.opening import OPEN
from handoff.service.queue_row import Row, ago, due_in
from handoff.service.reading import is_kept_close, record_reading
from handoff.store.database import Store
from handoff.store.tables import (
    Case,
    Conversation,
    Person,
    Reply,
    Turn,
    Village,
    Worker,
)

MOST_ROWS = 500
NO_VILLAGE = "村未登记"
_BY_RISK = case_when({risk.value: -risk.rank for risk in Risk}, value=Case.risk)


@dataclass(frozen=True)
class Unheard:
    """An emergency that nobody has answered to."""

    id: int
    number: str
    village: str


@dataclass(frozen=True)
class Standing:
    """What every page of the console shows: how many cases are open, and the emergencies nobody has answered to."""

    count: int
    unheard: list[Unheard]


@dataclass(frozen=True)
class CardView:
    """A station card as it is printed: without its person's name, so that who finds it can do nothing with it."""

    number: str
    village: str


class Queue:
    """Reads only, but for the record that somebody has read."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def rows(self, which: str, worker_id: int) -> list[Row]:
        """`queue` (all open), `mine` (open, claimed by me) or `closed` (the last 100)."""
        conditions: dict[str, list[ColumnElement[bool]]] = {
            "queue": [OPEN],
            "mine": [OPEN, Case.claimed_by == worker_id],
            "closed": [~OPEN],
        }
        async with self._store.read() as session:
            found = (
                select(Case)
                .where(*conditions.get(which, [OPEN]))
                .order_by(*(() if which == "closed" else (_BY_RISK,)), Case.id.desc())
                .limit(100 if which == "closed" else MOST_ROWS)
            )
            cases = [*await session.scalars(found)]
            rows = [await self._row(session, case) for case in cases]
        if which == "closed":
            return rows
        due = {case.id: case.due_at for case in cases}
        return sorted(rows, key=lambda row: (-Risk(row.risk).rank, row.claimed_id is not None, due[row.id]))

    async def standing(self) -> Standing:
        """The count of open cases and the unheard emergencies, the newest first."""
        async with self._store.read() as session:
            count = await session.scalar(select(func.count()).select_from(Case).where(OPEN))
            found = (
                select(Case.id, Case.number, Village.name)
                .outerjoin(Village, Village.id == Case.village_id)
                .where(OPEN, Case.risk == Risk.EMERGENCY.value, Case.acknowledged_at.is_(None))
                .order_by(Case.id.desc())
                .limit(MOST_ROWS)
            )
            unheard = [
                Unheard(id, number, village or NO_VILLAGE)
                for id, number, village in await session.execute(found)
            ]
        return Standing(min(count or 0, MOST_ROWS), unheard)

    async def case(self, case_id: int, worker_id: int) -> CaseView:
        """The whole case; that this worker read it goes on record."""
        await self._record_reading(case_id, worker_id)
        async with self._store.read() as session:
            case = await session.get(Case, case_id)
            if case is None:
                raise CaseworkError("no_such_case", "没有这个个案。")
            row = await self._row(session, case)
            if is_kept_close(case, worker_id):
                return await view_of(session, case, row, [], kept_close=True)
            row.why = case.why
            view = await view_of(session, case, row, await lines_of(session, case.conversation_id))
            view.has_card = bool(case.person_id and await card_of(session, case.person_id))
            return view

    async def card(self, case_id: int, worker_id: int) -> CardView:
        """The station card of whom the case is about, for the worker who has it. Raises CaseworkError."""
        async with self._store.read() as session:
            case = await session.get(Case, case_id)
            if case is None or case.claimed_by != worker_id:
                raise CaseworkError("not_yours", "请先接手这个个案。")
            card = await card_of(session, case.person_id) if case.person_id else None
            if card is None:
                raise CaseworkError("no_card", "还没有做卡，或者已经作废。")
            village = await session.get(Village, case.village_id) if case.village_id else None
            return CardView(str(card.number), village.name if village else "")

    async def _row(self, session: AsyncSession, case: Case) -> Row:
        talk = await session.get_one(Conversation, case.conversation_id)
        village = await session.get(Village, case.village_id) if case.village_id else None
        person = await session.get(Person, case.person_id) if case.person_id else None
        worker = await session.get(Worker, case.claimed_by) if case.claimed_by else None
        now = self._clock.now()
        is_open = Stage(case.stage).is_open
        return Row(
            id=case.id, number=case.number, village=village.name if village else NO_VILLAGE, person=masked_name(person.name) if person else "未登记",
            need=case.need, need_zh=NEED_ZH[Need(case.need)], risk=case.risk, risk_zh=RISK_ZH[Risk(case.risk)],
            kinds_zh=[KIND_ZH[DangerKind(kind)] for kind in case.kinds], why=[] if case.consent == "refused" else case.why, channel_zh=CHANNEL_ZH[Channel(talk.channel)],
            speaker_zh=SPEAKER_ZH[Speaker(talk.speaker)], stage=case.stage, stage_zh=STAGE_ZH[Stage(case.stage)], opened_ago=ago(now - case.opened_at),
            due_in=due_in(case, now) if is_open else "", overdue=is_open and case.claimed_at is None and now > case.due_at,
            claimed_by=worker.display_name if worker else None, claimed_id=case.claimed_by,
            needs_ack=is_open and case.risk == Risk.EMERGENCY and case.acknowledged_at is None, unread=await self._unread(session, case),
        )  # fmt: skip

    async def _unread(self, session: AsyncSession, case: Case) -> int:
        """Utterances passed to the worker since the worker last spoke in this conversation."""
        last = select(func.max(Reply.created_at)).where(
            Reply.conversation_id == case.conversation_id, Reply.worker_id.is_not(None)
        )
        since = await session.scalar(last)
        waiting = (
            select(func.count())
            .select_from(Turn)
            .where(Turn.conversation_id == case.conversation_id, Turn.state == "held")
        )
        return int(await session.scalar(waiting.where(Turn.received_at > since) if since else waiting) or 0)

    async def _record_reading(self, case_id: int, worker_id: int) -> None:
        async with self._store.write() as session:
            if await session.get(Case, case_id) is not None:
                await record_reading(session, case_id, worker_id, self._clock.now())
