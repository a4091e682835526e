"""The durable engine: notices, clocks and unanswered turns go on after a crash, each attempt on record.

The rows in the store are the truth; a DBOS workflow drives each of them. A workflow's id is made from its
row, so that a row is driven once however often it is found, and steps may run twice without harm.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine
from datetime import datetime, timedelta
from typing import Any, TypeVar

import structlog
from dbos import DBOS, DBOSConfig, SetWorkflowID
from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.model.clock import Clock
from handoff.model.errors import HandoffError
from handoff.model.quiet import QuietHours
from handoff.model.triage import TIME_TO_HUMAN
from handoff.model.words import Risk, Stage
from handoff.service.after import Changes
from handoff.service.arriving import Arrived, Arriving
from handoff.service.hub import MOVED, Hub, of_conversation, of_reply, of_worker
from handoff.service.identity import is_shared
from handoff.service.opening import Desk
from handoff.service.unreached import hurry, take_another_way
from handoff.service.ways import ARRIVED, PersonWay, Told, WorkerWay
from handoff.store.database import Store, rows_changed, sync_url
from handoff.store.tables import Case, Conversation, Notice, Reply, Timer, Turn, Worker

log = structlog.get_logger()

MAX_ATTEMPTS = 6
SEEN_WITHIN_S = 3.0
FLUSH_S = 0.2
_HINT_ON_RECORD_S = 10.0
_LOOK_AGAIN_S = 2.0
ORPHANED_NOTICE = timedelta(seconds=3)
ORPHANED_TURN = timedelta(seconds=10)
STILL_OF_USE = timedelta(days=7)
"""So old words are still said to somebody who could not be reached before."""

_AGAIN: dict[str, Any] = {
    "retries_allowed": True,
    "max_attempts": 1_000_000,
    "interval_seconds": 1.0,
    "backoff_rate": 1.0,
}
"""A row whose workflow has given up is never driven again, so that none may: a full disk can last for days."""

T = TypeVar("T")

_current: list["Dispatch"] = []


async def _in_service(work: Callable[["Dispatch"], Coroutine[Any, Any, T]]) -> T:
    """Run on the service's own loop: recovered workflows wake up on a loop of the engine's."""
    dispatch = _current[0]
    if asyncio.get_running_loop() is dispatch.loop:
        return await work(dispatch)
    return await asyncio.wrap_future(
        asyncio.run_coroutine_threadsafe(dispatch.tracked(work(dispatch)), dispatch.loop)
    )


def _end_with_service() -> None:
    """The engine shields its workflows and would let them outlive the store; `close` ends ours, which the next start takes up."""
    task = asyncio.current_task()
    if task is not None and asyncio.get_running_loop() is _current[0].loop:
        _current[0].own(task)


@DBOS.step(**_AGAIN)
async def _attempt(notice_id: int) -> dict[str, Any]:
    return await _in_service(lambda dispatch: dispatch.attempt(notice_id))


@DBOS.step(**_AGAIN)
async def _fire(timer_id: int) -> None:
    await _in_service(lambda dispatch: dispatch.fire(timer_id))


@DBOS.step(**_AGAIN)
async def _finish(turn_id: int) -> None:
    await _in_service(lambda dispatch: dispatch.finish_turn(turn_id))


@DBOS.workflow(name="deliver_notice")
async def _deliver_notice(notice_id: int) -> str:
    """One attempt; the one that follows is a workflow of its own, so that it is driven once whoever finds it."""
    _end_with_service()
    outcome = await _attempt(notice_id)
    if outcome["next"] is not None:
        await DBOS.sleep_async(outcome["wait_s"])
        await _in_service(lambda dispatch: dispatch.drive(outcome["next"]))
    return str(outcome["state"])


@DBOS.workflow(name="fire_timer")
async def _fire_timer(timer_id: int) -> None:
    _end_with_service()
    await _fire(timer_id)


@DBOS.workflow(name="finish_turn")
async def _finish_turn(turn_id: int) -> None:
    _end_with_service()
    await _finish(turn_id)


def _wait_s(attempt: int) -> float:
    """Seconds from this attempt to the next."""
    return 2.0 ** (attempt - 1)


def _orphaned(now: datetime, at_start: bool) -> ColumnElement[bool]:
    """Notices that nobody drives; one that waits for its turn is not among them."""
    if at_start:
        return Notice.created_at <= now
    return or_(
        *(
            (Notice.attempt == attempt)
            & (Notice.created_at <= now - ORPHANED_NOTICE - timedelta(seconds=wait))
            for attempt, wait in [(1, 0.0), *((n + 1, _wait_s(n)) for n in range(1, MAX_ATTEMPTS))]
        ),
        (Notice.attempt > MAX_ATTEMPTS) & (Notice.created_at <= now - ORPHANED_NOTICE),
    )


class Dispatch:
    """Starts and carries out the durable work of one service process."""

    def __init__(self, store: Store, hub: Hub, clock: Clock) -> None:
        self._store = store
        self._hub = hub
        self._clock = clock
        self._desk = Desk(clock)
        self._arriving = Arriving(store)
        self._started: set[str] = set()
        self._running: set[asyncio.Future[Any]] = set()
        self._delivered: set[str] = set()
        self._loops: list[asyncio.Task[None]] = []
        self.loop: asyncio.AbstractEventLoop
        self.finish_turn: Callable[[int], Coroutine[Any, Any, None]]
        self.person_ways: dict[str, PersonWay] = {}
        self.worker_ways: dict[str, WorkerWay] = {}
        """By the `way` of a notice; where none is given, open pages and consoles are all there is."""
        self.quiet: QuietHours | None = None

    async def launch(self, engine_url: str, finish_turn: Callable[[int], Coroutine[Any, Any, None]]) -> None:
        """Start the engine; what a crash left unfinished goes on from here."""
        self.loop = asyncio.get_running_loop()
        self.finish_turn = finish_turn
        _current[:] = [self]
        url = sync_url(engine_url).replace("postgresql+psycopg://", "postgresql://")
        config: DBOSConfig = {
            "name": "xiangyin", "system_database_url": url, "application_version": "1", "executor_id": "xiangyin",
            "log_level": "ERROR", "enable_otlp": False, "max_executor_threads": 4,
        }  # fmt: skip
        DBOS(config=config)
        await asyncio.to_thread(DBOS.launch)
        await self.sweep(at_start=True)
        self.every(1.0, self.sweep)
        self.every(FLUSH_S, self._flush)

    async def close(self) -> None:
        """Stop; what is unfinished stays in the store."""
        unfinished = [*self._loops, *self._running]
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        with contextlib.suppress(HandoffError):
            await self._flush()
        # Recovered workflows live on a loop of the engine's own; that they are cut off is no news.
        logging.getLogger("dbos").setLevel(logging.CRITICAL + 1)
        await asyncio.to_thread(DBOS.destroy)
        _current.clear()

    async def tracked(self, work: Coroutine[Any, Any, T]) -> T:
        """Work that `close` ends, and waits for, before the store is closed under it."""
        task = asyncio.ensure_future(work)
        self.own(task)
        return await task

    def own(self, task: "asyncio.Future[Any]") -> None:
        """Let `close` end this task and wait for it."""
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        """Do this now and again and again until `close`, whatever becomes of it."""
        self._loops.append(asyncio.create_task(self._every(seconds, work)))

    async def announce(self, changes: Changes) -> None:
        """After a commit: tell who listens, start what must go out."""
        changes.publish(self._hub)
        for notice in changes.notices:
            await self.drive(notice.id)

    async def drive(self, notice_id: int) -> None:
        """Attempt what a notice asks for, once however often this is called."""
        await self._start(f"notice-{notice_id}", _deliver_notice, notice_id)

    def shown(self, reply_id: str) -> None:
        """The reply has reached the person's page or connector; put on record with the next flush."""
        self._delivered.add(reply_id)
        self._hub.seen(reply_id)

    async def shown_now(self, reply_id: str) -> None:
        """As `shown`, and on record before this returns: for an answer that the platform asks for again if it is lost."""
        self._hub.seen(reply_id)
        await self._mark_delivered({reply_id})
        self._moved(reply_id)

    async def send(self, reply_id: str) -> None:
        """Send a reply that has not been shown, at once instead of when it is found; twice does nothing."""
        async with self._store.read() as session:
            waiting = select(Notice).where(Notice.reply_id == reply_id, Notice.state == "pending")
            notices = [*await session.scalars(waiting)]
        await self.announce(Changes(notices=notices))
        self._moved(reply_id)

    async def send_after_all(
        self, reply_id: str, together: Callable[[AsyncSession], Awaitable[bool]]
    ) -> None:
        """As `send`, for an answer that may be on record as shown and was not: it is sent from its beginning.

        together: what goes on record in the same transaction, so that nobody else shows it meanwhile; it says whether the
        answer is still to be sent.
        """
        changes = Changes()
        async with self._store.write() as session:
            if not await together(session):
                return
            attempts = select(Notice).where(Notice.reply_id == reply_id).order_by(Notice.attempt.desc())
            notice = await session.scalar(attempts.limit(1))
            if notice is not None and (notice.state == "delivered" or notice.parts):
                # An attempt of its own: what the other one is just bringing must not count for it.
                notice.code, notice.finished_at = "not_taken", self._clock.now()
                notice = await self._next(session, notice)
                notice.parts = 0
            if notice is not None and notice.state == "pending":
                changes.notices.append(notice)
        await self.announce(changes)
        self._moved(reply_id)

    async def parts_arrived(self, arrived: Collection[Arrived]) -> None:
        """These parts have arrived; a further attempt goes on behind them. Raises StoreError."""
        await self._arriving.record(arrived)
        self._moved(*(one.reply_id for one in arrived))

    async def first_part_arrived(self, reply_id: str) -> None:
        """As `parts_arrived`, for a reply that nobody has begun to send."""
        async with self._store.read() as session:
            waiting = select(Notice.id).where(Notice.reply_id == reply_id, Notice.state == "pending")
            notice_id = await session.scalar(waiting.limit(1))
        if notice_id is not None:
            await self.parts_arrived([Arrived(notice_id, reply_id, 1)])

    def _moved(self, *reply_ids: str) -> None:
        for reply_id in reply_ids:
            self._hub.publish(of_reply(reply_id), MOVED)

    async def until_moved(self, reply_ids: Collection[str], stands: Callable[[], Awaitable[bool]]) -> None:
        """Wait while `stands`, which looks at the store, is true; it is asked when one of the replies moves, and now and then.

        Another process moves them too, without a word.
        """
        with self._hub.listen(*map(of_reply, reply_ids)) as moves:
            while await stands():
                # Not `wait_for`, which on Python 3.11 can swallow that we are told to stop.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_AGAIN_S):
                        await moves.get()

    async def page_is_back(self, conversation_id: int) -> None:
        """A page has opened its line again: what could not reach it goes out once more."""
        mine = Reply.conversation_id == conversation_id
        await self._once_more(mine & Notice.state.in_(["pending", "failed"]))

    async def address_is_back(self, address_id: int) -> None:
        """Somebody writes again: what could not reach them goes out once more, where nobody else may read it."""
        theirs = select(Conversation.id).where(Conversation.address_id == address_id)
        recent = Reply.created_at > self._clock.now() - STILL_OF_USE
        missed = Reply.conversation_id.in_(theirs) & recent & (Notice.state == "failed")
        async with self._store.read() as session:
            found = select(Conversation).join(Reply, Reply.conversation_id == Conversation.id)
            found = found.join(Notice, Notice.reply_id == Reply.id).where(missed).limit(1)
            talk = await session.scalar(found)
            if talk is None or await is_shared(session, talk):
                return
        await self._once_more(missed)

    async def hint_failed(self, address_id: int) -> None:
        """Somebody has not been told after all that words wait for them: a person must not wait until the next day."""
        if not await self._hurry(address_id):
            # The platform may say so before what it took is on record here; what else they say does not wait for that.
            self.own(asyncio.create_task(self._hurry_once_on_record(address_id)))

    async def _hurry_once_on_record(self, address_id: int) -> None:
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_HINT_ON_RECORD_S):
                    while await self._under_way(address_id):  # noqa: ASYNC110  # of any process
                        await asyncio.sleep(FLUSH_S)
            await self._hurry(address_id)
        except HandoffError as error:  # the task for a person stands, for the next day
            log.error("dispatch.postponed", error=error.code)

    async def _hurry(self, address_id: int) -> bool:
        """Whether there was anything to hurry."""
        changes = Changes()
        async with self._store.write() as session:
            found = await hurry(session, self._desk, address_id, changes)
        await self.announce(changes)
        return found

    async def _under_way(self, address_id: int) -> bool:
        pending = select(Notice.id).join(Reply, Reply.id == Notice.reply_id)
        pending = pending.join(Conversation, Conversation.id == Reply.conversation_id)
        pending = pending.where(Conversation.address_id == address_id, Notice.state == "pending")
        async with self._store.read() as session:
            return await session.scalar(pending.limit(1)) is not None

    async def _once_more(self, which: ColumnElement[bool]) -> None:
        changes = Changes()
        async with self._store.write() as session:
            missed = select(Notice).join(Reply, Reply.id == Notice.reply_id).where(which)
            for notice in await session.scalars(missed.order_by(Notice.id)):
                if notice.reply_id in self._delivered:
                    continue
                changes.notices.append(
                    notice if notice.state == "pending" else await self._next(session, notice)
                )
        await self.announce(changes)

    # -- steps: each may run twice ---------------------------------------------------------------------

    async def attempt(self, notice_id: int) -> dict[str, Any]:
        """One attempt to tell someone; says whether and when another follows."""
        async with self._store.read() as session:
            notice = await session.get_one(Notice, notice_id)
            if notice.state != "pending":
                return await self._known(session, notice)
            reply = await session.get(Reply, notice.reply_id) if notice.reply_id else None
            case = await session.get(Case, notice.case_id) if notice.case_id else None
        told = await (self._tell_person(notice, reply) if reply else self._tell_worker(notice, case))
        changes = Changes()
        async with self._store.write() as session:
            notice = await session.get_one(Notice, notice_id, populate_existing=True)
            if notice.state != "pending":
                return await self._known(session, notice)
            outcome = await self._put_on_record(session, notice, told)
            if outcome["state"] == "failed" and reply is not None and notice.way in self.person_ways:
                await take_another_way(session, self._desk, reply, told, changes)
        await self.announce(changes)
        if reply is not None:
            self._moved(reply.id)
        return outcome

    async def fire(self, timer_id: int) -> None:
        """A clock has run out: those on duty are told again, and the next person too."""
        changes = Changes()
        async with self._store.write() as session:
            now = self._clock.now()
            won = await rows_changed(
                session,
                update(Timer).where(Timer.id == timer_id, Timer.fired_at.is_(None)).values(fired_at=now),
            )
            timer = await session.get_one(Timer, timer_id)
            case = await session.get_one(Case, timer.case_id)
            if not won or not self._still_waits(case, timer):
                return
            if until := self._quiet_until(case):
                await self._wait(session, case, timer.kind, until)
            elif timer.kind == "tell":
                await self._desk.alert(session, case, changes)
            else:
                await self._tell_again(session, case, timer, changes)
        await self.announce(changes)

    def _quiet_until(self, case: Case) -> datetime | None:
        """When a matter that can wait may be told; None: now. Danger never waits."""
        if self.quiet is None or Risk(case.risk).at_least(Risk.URGENT):
            return None
        return self.quiet.ends(self._clock.now())

    async def _wait(self, session: AsyncSession, case: Case, kind: str, until: datetime) -> None:
        """The clock goes on when the quiet is over, and rings once then, however many of the case have run out."""
        waiting = (Timer.case_id == case.id) & (Timer.due_at == until) & Timer.fired_at.is_(None)
        if kind == "due":
            first_word = update(Timer).where(waiting, Timer.kind == "tell")
            await session.execute(first_word.values(fired_at=self._clock.now()))
        if await session.scalar(select(Timer.id).where(waiting).limit(1)) is None:
            session.add(Timer(case_id=case.id, kind=kind, due_at=until))

    async def _tell_again(self, session: AsyncSession, case: Case, timer: Timer, changes: Changes) -> None:
        self._desk.record(session, case, "overdue", content={"clock": timer.kind})
        await self._desk.alert(session, case, changes, wider=timer.kind == "acknowledge")
        again = self._clock.now() + TIME_TO_HUMAN[Risk(case.risk)]
        session.add(Timer(case_id=case.id, kind=timer.kind, due_at=again))
        changes.case(case, new=True)

    @staticmethod
    def _still_waits(case: Case, timer: Timer) -> bool:
        answered = case.acknowledged_at if timer.kind == "acknowledge" else case.claimed_at
        return Stage(case.stage).is_open and answered is None

    async def _tell_person(self, notice: Notice, reply: Reply) -> Told:
        event = {"event": "reply", "reply": reply.id}
        if reply.id in self._delivered:
            return ARRIVED
        way = self.person_ways.get(notice.way)
        if way is not None and await way.was_asked(reply):
            return await way.tell(notice, reply)
        if not self._hub.publish(of_conversation(reply.conversation_id), event):
            return await way.tell(notice, reply) if way else Told("not_connected")
        if await self._hub.until_seen(reply.id, SEEN_WITHIN_S):
            return ARRIVED
        return await way.tell(notice, reply) if way else Told("not_shown")

    async def _tell_worker(self, notice: Notice, case: Case | None) -> Told:
        """On every open console, and by the worker's own way too: a console may be open where nobody sits."""
        if case is None or notice.worker_id is None:
            return Told("nobody")
        event = {"event": "alert", "case": case.id, "number": case.number, "risk": case.risk, "new": True}
        consoles = self._hub.publish(of_worker(notice.worker_id), event)
        by_console = Told(way="console") if consoles else None
        way = self.worker_ways.get(notice.way)
        if way is None:
            # A console that is opened later shows what stands, and the case's clocks ring again: only where somebody is in
            # danger is it tried meanwhile too, since a line that was down for a moment must not cost two minutes.
            in_danger = Risk(case.risk).at_least(Risk.URGENT)
            return by_console or Told("not_connected", again=in_danger)
        async with self._store.read() as session:
            worker = await session.get_one(Worker, notice.worker_id)
        told = await way.alert(notice, case, worker)
        if told.code is None or (told.again and notice.attempt < MAX_ATTEMPTS):
            return told
        return by_console or told

    async def _put_on_record(self, session: AsyncSession, notice: Notice, told: Told) -> dict[str, Any]:
        notice.finished_at, notice.code = self._clock.now(), told.code
        notice.way = told.way or notice.way
        notice.state = "delivered" if told.code is None else "failed"
        if told.code is None or not told.again or notice.attempt >= MAX_ATTEMPTS:
            return {"state": notice.state, "next": None}
        following = await self._next(session, notice)
        return {"state": "retried", "next": following.id, "wait_s": _wait_s(notice.attempt)}

    async def _known(self, session: AsyncSession, notice: Notice) -> dict[str, Any]:
        """What an attempt that is already on record led to."""
        following = await self._following(session, notice) if notice.state == "retried" else None
        return {"state": notice.state, "next": following.id if following else None, "wait_s": 0.5}

    @staticmethod
    async def _following(session: AsyncSession, notice: Notice) -> Notice | None:
        to_worker = (
            (Notice.case_id == notice.case_id)
            & (Notice.worker_id == notice.worker_id)
            & (Notice.round == notice.round)
        )
        same = (Notice.reply_id == notice.reply_id) if notice.reply_id else to_worker
        return await session.scalar(select(Notice).where(same, Notice.attempt == notice.attempt + 1))

    async def _next(self, session: AsyncSession, notice: Notice) -> Notice:
        """The attempt after this one, which a page that came back may already have asked for."""
        notice.state = "retried"
        following = await self._following(session, notice)
        if following is None:
            following = Notice(
                case_id=notice.case_id, worker_id=notice.worker_id, reply_id=notice.reply_id, way=notice.way, round=notice.round,
                attempt=notice.attempt + 1, parts=notice.parts, state="pending", created_at=self._clock.now(),
            )  # fmt: skip
            session.add(following)
            await session.flush()
        return following

    # -- finding what nobody drives --------------------------------------------------------------------

    async def sweep(self, *, at_start: bool = False) -> None:
        """Start what is due or was left behind. Safe to call at any time."""
        now = self._clock.now()
        async with self._store.read() as session:
            timers = await session.scalars(
                select(Timer.id).where(Timer.fired_at.is_(None), Timer.due_at <= now)
            )
            notices = await session.scalars(
                select(Notice.id).where(Notice.state == "pending", _orphaned(now, at_start)).limit(200)
            )
            old = now if at_start else now - ORPHANED_TURN
            turns = await session.scalars(
                select(Turn.id).where(Turn.state == "received", Turn.received_at <= old).limit(200)
            )
            found = [*timers], [*notices], [*turns]
        for name, workflow, ids in zip(
            ("timer", "notice", "turn"), (_fire_timer, _deliver_notice, _finish_turn), found, strict=True
        ):
            for row_id in ids:
                await self._start(f"{name}-{row_id}", workflow, row_id)

    async def _start(self, workflow_id: str, workflow: Callable[..., Any], row_id: int) -> None:
        if workflow_id in self._started:
            return
        self._started.add(
            workflow_id
        )  # at once: another may ask for it while this is on its way to the engine
        try:
            with SetWorkflowID(workflow_id):
                await DBOS.start_workflow_async(workflow, row_id)
        except BaseException:
            self._started.discard(workflow_id)
            raise

    async def _flush(self) -> None:
        shown, self._delivered = self._delivered, set()
        if not shown:
            return
        try:
            await self._mark_delivered(shown)
        except HandoffError:
            self._delivered |= shown
            raise
        self._moved(*shown)

    async def _mark_delivered(self, shown: set[str]) -> None:
        async with self._store.write(first=True) as session:
            mark = update(Notice).where(Notice.reply_id.in_(shown), Notice.state.in_(["pending", "failed"]))
            await session.execute(mark.values(state="delivered", code=None, finished_at=self._clock.now()))

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except Exception as error:  # the loop that finds what was left behind must outlive every fault
                log.error("dispatch.postponed", error=getattr(error, "code", type(error).__name__))
            await asyncio.sleep(seconds)
