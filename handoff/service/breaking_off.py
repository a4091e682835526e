"""A call that broke off: what was said stands, and somebody calls back."""

from sqlalchemy.ext.asyncio import AsyncSession

from handoff.model.clock import Clock
from handoff.model.triage import TIME_TO_HUMAN
from handoff.model.words import Need, Risk, highest
from handoff.service.after import Changes
from handoff.service.calls import Calls
from handoff.service.dispatch import Dispatch
from handoff.service.opening import Desk, Matter, open_cases
from handoff.service.tasks import plan_task
from handoff.service.turns import conversation
from handoff.store.database import Store
from handoff.store.tables import Case


class BreakingOff:
    """Plans the call back."""

    def __init__(self, store: Store, dispatch: Dispatch, calls: Calls, clock: Clock) -> None:
        self._store = store
        self._calls = calls
        self._dispatch = dispatch
        self._clock = clock
        self._desk = Desk(clock)

    async def note(self, token: str) -> None:
        """The line went dead in the middle: a broken-off contact deserves attention (rule 4 of care).

        Raises UnknownConversation.
        """
        changes = Changes()
        async with self._store.write() as session:
            talk = await conversation(session, token, lock=True)
            cases = await open_cases(session, talk.id)
            if cases:
                case = cases[0]
                await self._plan(session, case, changes)
            else:
                matter = Matter(Need.UNCLEAR, Risk.ATTENTION, slots={"reason": "broke_off"})
                case, _ = await self._desk.open_or_raise(session, talk, matter, changes)
                self._desk.record(session, case, "broke_off")
            await self._calls.plan_back(session, case)
        await self._dispatch.announce(changes)

    async def _plan(self, session: AsyncSession, case: Case, changes: Changes) -> None:
        """A call on the gravest case."""
        now = self._clock.now()
        due = now + TIME_TO_HUMAN[highest(Risk(case.risk), Risk.ATTENTION)]
        await plan_task(session, case, "call", due, now)
        self._desk.record(session, case, "broke_off")
        changes.case(case, new=True)
