"""Who on the telephone asks for a person is put through to a worker who is on duty; nothing of what was said goes along."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.model.clock import Clock
from handoff.model.quiet import QuietHours
from handoff.model.words import RISK_ZH, Need, Risk, Stage
from handoff.service.after import Changes
from handoff.service.casework import Casework, CaseworkError
from handoff.service.dispatch import Dispatch
from handoff.service.opening import Desk
from handoff.service.tasks import plan_task
from handoff.store.database import Store
from handoff.store.tables import Case, CaseEvent, Village, Worker

MOST_RUNG = 2
"""So many workers are rung up while somebody waits on the line."""


@dataclass(frozen=True)
class ToRing:
    """A worker who may be rung up."""

    worker_id: int
    phone: str


@dataclass(frozen=True)
class PutThrough:
    """A caller who is to be put through: to whom, in their order, and what the worker hears first."""

    case_id: int
    number: str
    village: str
    risk_zh: str
    to: list[ToRing]


class PuttingThrough:
    """Says whom to ring up, and puts on record what came of it."""

    def __init__(
        self, store: Store, casework: Casework, dispatch: Dispatch, clock: Clock, quiet: QuietHours
    ) -> None:
        self._store = store
        self._casework = casework
        self._dispatch = dispatch
        self._clock = clock
        self._quiet = quiet
        self._desk = Desk(clock)

    async def wanted(self, turn_id: int) -> PutThrough | None:
        """Whom to ring up now for what was said in this turn; None where it asked for nobody, or nobody may be rung up.

        A person is asked for in so many words, or by danger that is urgent. An emergency is not held on the line: whoever
        is in one has been told to ring 120.
        """
        async with self._store.read() as session:
            event = select(CaseEvent).where(CaseEvent.turn_id == turn_id).order_by(CaseEvent.id.desc())
            for one in await session.scalars(event):
                case = await session.get_one(Case, one.case_id)
                asked = one.kind == "asked_for_human" or (one.kind == "opened" and case.need == Need.HUMAN)
                urgent = one.kind in ("opened", "raised") and case.risk == Risk.URGENT
                if (asked or urgent) and case.risk != Risk.EMERGENCY and Stage(case.stage).is_open:
                    return await self._to(session, case)
        return None

    async def _to(self, session: AsyncSession, case: Case) -> PutThrough | None:
        if self._quiet.ends(self._clock.now()) and not Risk(case.risk).at_least(Risk.URGENT):
            return None
        may = select(Worker).where(
            Worker.phone.is_not(None), Worker.disabled_at.is_(None), Worker.role == "worker", Worker.on_duty
        )
        workers = [*await session.scalars(may.order_by(Worker.id))]
        if case.claimed_by is not None:  # nobody else takes it from whoever has it
            workers = [one for one in workers if one.id == case.claimed_by]
        village = await session.get(Village, case.village_id) if case.village_id else None
        to = [ToRing(one.id, str(one.phone)) for one in workers[:MOST_RUNG]]
        found = PutThrough(
            case.id, case.number, village.name if village else "", RISK_ZH[Risk(case.risk)], to
        )
        return found if to else None

    async def taken(self, case_id: int, worker_id: int) -> None:
        """The worker has the caller on the line: it is their case, and the assistant keeps silent."""
        try:
            await self._casework.claim(case_id, worker_id)
        except (
            CaseworkError
        ):  # theirs already, or a colleague was quicker: the caller is on their line all the same
            await self._casework.acknowledge(case_id, worker_id)
        await self._put_on_record(case_id, "put_through", worker_id)

    async def nobody(self, case_id: int) -> None:
        """Nobody took it: somebody calls back."""
        await self._put_on_record(case_id, "not_put_through", None)

    async def _put_on_record(self, case_id: int, kind: str, worker_id: int | None) -> None:
        changes = Changes()
        async with self._store.write() as session:
            case = await session.get_one(Case, case_id)
            self._desk.record(session, case, kind, worker_id=worker_id)
            if worker_id is None:
                await plan_task(session, case, "call", case.due_at, self._clock.now())
            changes.case(case, new=worker_id is None)
        await self._dispatch.announce(changes)
