"""Calls that the service itself makes: back to a line that broke off, a reminder, and whether it helped.

Each is planned in the transaction that gives rise to it, tried a few times at fitting hours, and every try is on record.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.model.clock import Clock
from handoff.model.quiet import QuietHours
from handoff.model.words import Channel, Need, Purpose, Risk, Stage
from handoff.service.addresses import address_of
from handoff.service.after import Changes
from handoff.service.dispatch import Dispatch
from handoff.service.opening import Desk
from handoff.service.tasks import plan_task
from handoff.store.database import Store, rows_changed
from handoff.store.tables import Address, Call, Case, Conversation, Person

MOST_TRIES = 3
_AGAIN_AFTER = {
    Purpose.CALL_BACK: timedelta(minutes=3),
    Purpose.REMINDER: timedelta(minutes=20),
    Purpose.HELPED: timedelta(hours=4),
}
_BACK_AFTER = timedelta(seconds=30)
"""Whoever was cut off may be dialling again just now."""
MOST_BACK, _BACK_WITHIN = 3, timedelta(hours=2)
"""A line that breaks again and again is not rung for ever: a person has a task by then."""
_HELPED_AFTER = timedelta(days=1)
_TOO_LATE = timedelta(hours=2)
"""A reminder of tomorrow morning is wrong the next morning: what could not be told in time is left to a person."""
_TASK_WITHIN = timedelta(hours=2)
_NEVER = (Need.ABUSE,)
"""Whoever is at the telephone may be the one it is about."""
_NOT_ASKED = (Need.ABUSE, Need.CRISIS, Need.EMERGENCY)
"""Whether it helped is no question for a machine to ask here."""


@dataclass(frozen=True)
class Due:
    """A call to be made now."""

    id: int
    number: str
    tries: int
    """The so-manieth try."""


class Calls:
    """Plans calls, gives out those that are due, and puts on record what came of them."""

    def __init__(
        self, store: Store, dispatch: Dispatch, clock: Clock, quiet: QuietHours, *, possible: bool
    ) -> None:
        """`possible`: whether there is a telephone that makes calls; without one nothing is planned."""
        self._store = store
        self._dispatch = dispatch
        self._clock = clock
        self._quiet = quiet
        self._desk = Desk(clock)
        self.possible = possible

    # -- planning, inside the caller's transaction -----------------------------------------------------------

    async def plan_back(self, session: AsyncSession, case: Case) -> None:
        """Ring back to a line that broke off; not into an emergency, where the line must be free for 120."""
        since = self._clock.now() - _BACK_WITHIN
        before = select(func.count()).where(
            Call.case_id == case.id, Call.purpose == Purpose.CALL_BACK, Call.created_at > since
        )
        if case.risk != Risk.EMERGENCY and (await session.scalar(before) or 0) < MOST_BACK:
            await self._plan(session, case, Purpose.CALL_BACK, self._clock.now() + _BACK_AFTER)

    async def plan_helped(self, session: AsyncSession, case: Case) -> None:
        """Ask, a day after it was closed, whether it helped."""
        if Need(case.need) not in _NOT_ASKED:
            await self._plan(session, case, Purpose.HELPED, self._clock.now() + _HELPED_AFTER)

    async def plan_reminder(
        self, session: AsyncSession, case: Case, at: datetime, words: str, worker_id: int
    ) -> bool:
        """Remind the person at a time; False where they have no telephone, or may not be rung up by a machine."""
        return await self._plan(session, case, Purpose.REMINDER, at, words, worker_id)

    def is_quiet(self, at: datetime) -> bool:
        """Whether nobody is rung up at that time."""
        return self._quiet.ends(at) is not None

    async def _plan(
        self,
        session: AsyncSession,
        case: Case,
        purpose: Purpose,
        at: datetime,
        words: str | None = None,
        worker_id: int | None = None,
    ) -> bool:
        if not self.possible or Need(case.need) in _NEVER:
            return False
        address = await self._telephone_of(session, case)
        if address is None:
            return False
        same = select(Call.id).where(Call.case_id == case.id, Call.purpose == purpose)
        waiting = same.where(Call.state.in_(("planned", "ringing")), Call.words.is_(None))
        if await session.scalar(waiting.limit(1)) is not None:
            return True
        session.add(
            Call(
                case_id=case.id, address_id=address.id, purpose=purpose, words=words, state="planned", tries=0,
                due_at=at, created_at=self._clock.now(),
            )
        )  # fmt: skip
        self._desk.record(session, case, "call_planned", content={"purpose": purpose}, worker_id=worker_id)
        return True

    async def _telephone_of(self, session: AsyncSession, case: Case) -> Address | None:
        """The person's own number where it is known, else the one they called from."""
        person = await session.get(Person, case.person_id) if case.person_id else None
        if person is not None and person.phone:
            return await address_of(session, Channel.PHONE, str(person.phone), self._clock.now())
        talk = await session.get_one(Conversation, case.conversation_id)
        address = await session.get(Address, talk.address_id) if talk.address_id else None
        return address if address is not None and address.channel == Channel.PHONE else None

    # -- making them ------------------------------------------------------------------------------------------

    async def recover(self) -> None:
        """After a start: what was ringing when the service ended is tried again."""
        async with self._store.read() as session:
            cut = [*await session.scalars(select(Call.id).where(Call.state == "ringing"))]
        for call_id in cut:
            await self.missed(call_id, "interrupted")

    async def take_due(self) -> Due | None:
        """The call that has been due longest, from now on ringing; None where there is none."""
        changes = Changes()
        taken = await self._take_due(changes)
        await self._dispatch.announce(changes)
        return taken

    async def _take_due(self, changes: Changes) -> Due | None:
        async with self._store.write() as session:
            now = self._clock.now()
            due = (
                select(Call).where(Call.state == "planned", Call.due_at <= now).order_by(Call.due_at, Call.id)
            )
            for call in [*await session.scalars(due.limit(50))]:
                case = await session.get_one(Case, call.case_id)
                if await self._is_needless(session, call, case):
                    end_call(session, self._desk, call, case, "cancelled", changes)
                elif call.purpose == Purpose.REMINDER and now - call.due_at > _TOO_LATE:
                    await self._give_up(session, call, case, changes)
                elif (later := self._not_now(call, now)) is not None:
                    call.due_at = later
                else:
                    mine = update(Call).where(Call.id == call.id, Call.state == "planned")
                    if await rows_changed(session, mine.values(state="ringing", tries=Call.tries + 1)):
                        address = await session.get_one(Address, call.address_id)
                        return Due(call.id, str(address.value), call.tries)
        return None

    def _not_now(self, call: Call, now: datetime) -> datetime | None:
        """Whoever was cut off is awake; nobody else is rung up in the quiet hours."""
        at_once = call.purpose == Purpose.CALL_BACK and call.tries == 0
        return None if at_once else self._quiet.ends(now)

    async def _is_needless(self, session: AsyncSession, call: Call, case: Case) -> bool:
        """Whether they have called again themselves, or a person sees to it."""
        if call.purpose != Purpose.CALL_BACK:
            return False
        if case.claimed_by is not None or not Stage(case.stage).is_open:
            return True
        again = select(Conversation.id).where(Conversation.address_id == call.address_id)
        again = again.where(
            Conversation.started_at > call.created_at, Conversation.id != (call.conversation_id or 0)
        )
        return await session.scalar(again.limit(1)) is not None

    async def missed(self, call_id: int, why: str) -> None:
        """This try reached nobody: another later, or it is left to a person."""
        changes = Changes()
        async with self._store.write() as session:
            call = await session.get_one(Call, call_id)
            case = await session.get_one(Case, call.case_id)
            if call.state != "ringing":
                return
            call.code = why
            content = {"purpose": call.purpose, "why": why, "try": call.tries}
            self._desk.record(session, case, "call_missed", content=content)
            later = self._clock.now() + _AGAIN_AFTER[Purpose(call.purpose)]
            too_late = call.purpose == Purpose.REMINDER and self.is_quiet(later)
            if call.tries < MOST_TRIES and not too_late:
                call.state, call.due_at = "planned", self._quiet.ends(later) or later
            else:
                await self._give_up(session, call, case, changes)
            changes.case(case)
        await self._dispatch.announce(changes)

    async def ended(self, call_id: int, *, spoke: bool) -> None:
        """The line is down again; what was wanted has been said in the call, or it has not."""
        changes = Changes()
        async with self._store.write() as session:
            call = await session.get_one(Call, call_id)
            case = await session.get_one(Case, call.case_id)
            if call.state == "ringing" and call.purpose == Purpose.CALL_BACK and spoke:
                end_call(session, self._desk, call, case, "done", changes)
        await self._dispatch.announce(changes)
        await self.missed(call_id, "not_confirmed")

    async def is_settled(self, call_id: int) -> bool:
        """Whether all that the call was made for is said; whoever was rung back to may go on as long as they like."""
        async with self._store.read() as session:
            call = await session.get_one(Call, call_id)
            return call.state == "done" and call.purpose != Purpose.CALL_BACK

    async def cancel(self, session: AsyncSession, case: Case, call_id: int, worker_id: int) -> None:
        """Don't make this call after all; one that is over, or another case's, stays as it is."""
        call = await session.get(Call, call_id)
        if call is not None and call.case_id == case.id and call.state == "planned":
            call.state, call.finished_at = "cancelled", self._clock.now()
            content = {"purpose": call.purpose}
            self._desk.record(session, case, "call_cancelled", content=content, worker_id=worker_id)

    async def _give_up(self, session: AsyncSession, call: Call, case: Case, changes: Changes) -> None:
        """No machine rings any more; but for the question whether it helped it is left to a person."""
        end_call(session, self._desk, call, case, "given_up", changes)
        if call.purpose == Purpose.HELPED:
            return
        now = self._clock.now()
        await plan_task(session, case, "call", now + _TASK_WITHIN, now, unreached=True)


async def planned_calls(session: AsyncSession, case_id: int) -> list[Call]:
    """The calls of a case that are still to be made, the next first."""
    planned = select(Call).where(Call.case_id == case_id, Call.state.in_(("planned", "ringing")))
    return [*await session.scalars(planned.order_by(Call.due_at, Call.id))]


def end_call(session: AsyncSession, desk: Desk, call: Call, case: Case, state: str, changes: Changes) -> None:
    """The call is not made any more: `done`, `given_up`, or `cancelled` because nobody needs it now."""
    call.state, call.finished_at = state, desk.clock.now()
    kind = {"done": "called", "given_up": "call_given_up", "cancelled": "call_needless"}[state]
    desk.record(session, case, kind, content={"purpose": call.purpose})
    changes.case(case, new=state == "given_up")
