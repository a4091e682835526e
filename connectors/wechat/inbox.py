"""What villagers send to the Official Account: on record first, answered within the platform's five seconds or after."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from weakref import WeakValueDictionary

import structlog
from aiohttp import web

from connectors.wechat.arrivals import Arrivals
from connectors.wechat.envelope import MAX_BODY, Envelope, Opened, Refused, message_key
from connectors.wechat.journal import Journal
from connectors.wechat.reading import Reading
from connectors.wechat.stalls import Stalls
from connectors.wechat.way import Part, WeChatWay
from connectors.wechat.windows import opened_by
from handoff.model.clock import Clock
from handoff.service.dispatch import Dispatch
from handoff.store.database import StoreError
from handoff.store.tables import Arrival

log = structlog.get_logger("connectors.wechat")

ANSWER_WITHIN_S = 4.0
"""The platform waits five seconds; what is not ready by then is sent afterwards."""
_TOO_LATE_S = 4.4  # of the platform's five seconds, less what writing it takes
_WITHOUT_SENDING_S = 20.0
"""Where nothing can be sent afterwards, the platform's repeats are all there is: three times five seconds."""
_LAST_TRY = timedelta(seconds=9)
"""So long after a message was written no repeat follows: whether its answer arrives is not learned any more."""
_UP_BEFORE_LAST_TRY = timedelta(seconds=9)
"""So long after a message was written who starts up is sure to get the platform's last try: the port is taken before anything else."""
_SWEEP_S, _TIDY_S = 1.0, 600.0
_STORE_AGAIN_S = 0.5
_SUCCESS = "success"


@dataclass
class _Request:
    """One request of the platform, its message opened."""

    http: web.Request
    opened: Opened
    began: float
    """When it was sent, by the loop's clock."""
    asked: datetime
    ready: "asyncio.Future[list[str]]"

    def can_carry(self) -> bool:
        """Whether what is written to it now arrives, or is asked for once more."""
        return not (self.is_gone() or self.is_late() or self.is_last())

    def is_gone(self) -> bool:
        """Whether the platform waits for it no longer."""
        transport = self.http.transport
        return transport is None or transport.is_closing()

    def is_late(self) -> bool:
        """Whether its patience may be over when something written now arrives."""
        return asyncio.get_running_loop().time() - self.began > _TOO_LATE_S

    def is_last(self) -> bool:
        """Whether the platform will not ask again."""
        return self.asked - self._written() >= _LAST_TRY

    def asks_again_until(self) -> datetime:
        """Who is up by then is asked once more for what has not arrived."""
        return self._written() + _UP_BEFORE_LAST_TRY

    def _written(self) -> datetime:
        """When the message was, by the platform; where it does not say, now."""
        written = str(self.opened.message._data.get("CreateTime") or "")
        return (
            datetime.fromtimestamp(int(written), UTC)
            if written.isdecimal() and len(written) <= 10
            else self.asked
        )


class Inbox:
    """The address that the platform calls, and the work behind it."""

    def __init__(
        self, envelope: Envelope, arrivals: Arrivals, journal: Journal, reading: Reading, way: WeChatWay, dispatch: Dispatch,
        clock: Clock,
    ) -> None:  # fmt: skip
        self._envelope = envelope
        self._journal = journal
        self._arrivals = arrivals
        self._reading = reading
        self._way = way
        self._dispatch = dispatch
        self._clock = clock
        self._locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        self._waiting: dict[int, _Request] = {}
        self._working: set[asyncio.Task[None]] = set()
        self._stalls = Stalls()

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        app.router.add_get("/wechat", self._check)
        app.router.add_post("/wechat", self._receive)

    def start(self) -> None:
        """Take up what a crash has left, now and whenever something is left behind."""
        for work in (self._sweep(), self._stalls.watch()):
            self._keep(asyncio.create_task(work))

    async def close(self) -> None:
        """Begin nothing more; what is unfinished stays on record."""
        unfinished = [*self._working]
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)

    async def _check(self, request: web.Request) -> web.StreamResponse:
        try:
            return web.Response(text=self._envelope.echo(request.query))
        except Refused as refused:
            return _refuse(refused)

    async def _receive(self, http: web.Request) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        began = loop.time() - self._stalls.lately()
        try:
            self._envelope.check(http.query)
            body = await _limited(http)
            opened = self._envelope.open(http.query, body)
        except Refused as refused:
            return _refuse(refused)
        asked = self._clock.now() - timedelta(seconds=loop.time() - began)
        request = _Request(http, opened, began, asked, loop.create_future())
        try:
            arrival, new = await self._recorded(request)
        except StoreError as error:
            log.error("wechat.not_stored", code=error.code)
            sent = dict(opened.message._data)
            if opened_by(sent) is None:  # nobody has said or done anything
                return web.Response(status=503)
            return self._passive(request, self._reading.unkept_words(sent))
        if new or arrival.done_at is None:
            replies = await self._wait_for(arrival, request)
        else:
            replies = await self._arrivals.offer_again(arrival.id, asked)
        return await self._answer(request, arrival, replies) if replies else web.Response(text=_SUCCESS)

    async def _recorded(self, request: _Request) -> tuple[Arrival, bool]:
        """The message on record. Raises StoreError where that can't be had while the platform still asks.

        Until its last try it is not answered where nothing can be stored: what it asks for once more is not lost.
        """
        message = request.opened.message
        while True:
            try:
                return await self._arrivals.record(
                    str(message.source), message_key(message), dict(message._data)
                )
            except StoreError:
                if request.is_last() or request.is_gone():
                    raise
            await asyncio.sleep(_STORE_AGAIN_S)

    async def _wait_for(self, arrival: Arrival, request: _Request) -> list[str] | None:
        """The replies, if they are ready in time; else they are sent afterwards by whoever works on them."""
        first = self._waiting.get(arrival.id)
        if first is not None and not first.is_gone() and not first.is_late():
            return None  # a duplicate; its twin gets the answer
        if first is not None and not first.ready.done():
            first.ready.set_result([])  # given up by the platform, which now asks again
        self._waiting[arrival.id] = request
        self._work_on(arrival.address_id)
        patience = ANSWER_WITHIN_S if self._way.may_write else _WITHOUT_SENDING_S
        waited = asyncio.get_running_loop().time() - request.began
        try:
            return await asyncio.wait_for(asyncio.shield(request.ready), patience - waited)
        except TimeoutError:
            if self._waiting.get(arrival.id) is request:
                del self._waiting[arrival.id]
            # Ready in this very moment: nobody else would send it.
            return request.ready.result() if request.ready.done() else None

    async def _answer(self, request: _Request, arrival: Arrival, replies: list[str]) -> web.StreamResponse:
        """The first message of the first reply goes back with the request; the rest is sent.

        All is sent where the request can't carry it: something said before is still on its way, the platform has given
        up, or may have by the time it arrives, or will not ask again if it does not.
        """
        parts, behind_others = await self._way.to_give(replies[0])
        if self._way.may_write and (behind_others or not request.can_carry()):
            return await self._send_instead(arrival.id, replies, from_=request.asked)
        response = self._passive(request, parts[0].words)
        # On record before it goes out: if we fall down in between, the platform asks again and gets it then.
        await self._first_is_given(replies[0], parts)
        if self._way.may_write and not request.can_carry():
            return await self._send_instead(arrival.id, replies, from_=request.asked)
        try:
            await response.prepare(request.http)
            # The platform may have the answer, and we be gone, before this thread is back from handing it over.
            self._journal.giving(
                arrival.id, request.asked.isoformat(), request.asks_again_until().isoformat()
            )
            await response.write_eof()
        except ConnectionError:
            self._journal.not_given(arrival.id)
            if self._way.may_write:
                return await self._send_instead(arrival.id, replies, from_=request.asked)
            return response  # the next request of the platform finds it
        self._journal.given(arrival.id, request.asked.isoformat())
        try:
            await self._given_on_record(arrival.id, request.asked.isoformat())
        except StoreError as error:  # the note stands, and the sweep tries again
            log.error("wechat.not_stored", code=error.code)
        if len(parts) > 1:
            await self._dispatch.send(replies[0])
        for other in replies[1:]:
            await self._dispatch.send(other)
        return response

    async def _given_on_record(self, arrival_id: int, asked: str) -> None:
        await self._arrivals.given(arrival_id, asked)
        self._journal.given_on_record(arrival_id, asked)

    def _passive(self, request: _Request, words: str) -> web.Response:
        text = self._envelope.text(request.opened, words)
        return web.Response(text=text, content_type="text/xml", charset="utf-8")

    async def _send_instead(
        self, arrival_id: int, replies: list[str], *, from_: datetime | None = None
    ) -> web.StreamResponse:
        # At once: the platform's next request must not be given what is being sent, nor what is sent wait for that request.
        await self._dispatch.send_after_all(
            replies[0], lambda session: self._arrivals.withdraw(session, arrival_id, from_=from_)
        )
        for other in replies[1:]:
            await self._dispatch.send(other)
        return web.Response(text=_SUCCESS)

    async def _first_is_given(self, reply_id: str, parts: list[Part]) -> None:
        if len(parts) == 1:
            await self._dispatch.shown_now(reply_id)
        else:
            await self._dispatch.first_part_arrived(reply_id)

    # -- the work ------------------------------------------------------------------------------------------

    def _work_on(self, address_id: int) -> None:
        self._keep(asyncio.create_task(self._drain(address_id)))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    async def _drain(self, address_id: int) -> None:
        """Everything open of one sender, one after the other."""
        async with self._locks.setdefault(address_id, asyncio.Lock()):
            while True:
                arrival = await self._arrivals.next_of(address_id)
                if arrival is None:
                    return
                try:
                    async with self._arrivals.held(arrival):
                        await self._do(arrival)
                except (
                    Exception
                ) as error:  # the others must not wait behind one that fails; it is tried again
                    log.error("wechat.postponed", arrival=arrival.id, fault=type(error).__name__)
                    return
                if not await self._arrivals.has_more(address_id):  # a look costs less than trying to take one
                    return

    async def _do(self, arrival: Arrival) -> None:
        replies = await self._reading.take(arrival)
        if replies and self._way.may_write:
            # Before the answer, which comes behind it.
            await self._dispatch.address_is_back(arrival.address_id)
        asked = await self._arrivals.done(
            arrival.id, replies, lambda: self._asked(arrival.id) if replies else None
        )
        while replies and (later := self._asked(arrival.id)) is not None and later != asked:
            asked = await self._arrivals.offered(arrival.id, later)  # the platform has asked again meanwhile
        request = self._waiting.pop(arrival.id, None)
        if request is not None and not request.ready.done():
            request.ready.set_result(replies)
        elif asked is not None:
            await self._send_instead(arrival.id, replies, from_=asked)
        else:
            for reply in replies:
                await self._dispatch.send(reply)

    def _asked(self, arrival_id: int) -> datetime | None:
        """When the request came that waits for it now."""
        request = self._waiting.get(arrival_id)
        return request.asked if request is not None else None

    async def _send_what_was_never_given(self, at_start: bool) -> None:
        """On record as shown before it was written: a crash in between, and no further request, must not lose it."""
        for arrival_id in await self._arrivals.never_given(at_start=at_start) if self._way.may_write else ():
            if replies := await self._arrivals.take_back(arrival_id):
                log.info("wechat.never_given", arrival=arrival_id)
                await self._send_instead(arrival_id, replies)

    async def _sweep(self) -> None:
        tidied, at_start = -_TIDY_S, True
        while True:
            try:
                await self._way.take_up()
                for arrival_id, asked in self._journal.all_given().items():
                    await self._given_on_record(arrival_id, asked)
                await self._arrivals.settle()
                await self._send_what_was_never_given(at_start)
                at_start = False
                if asyncio.get_running_loop().time() - tidied >= _TIDY_S:
                    await self._arrivals.tidy()
                    await self._reading.tidy()
                    tidied = asyncio.get_running_loop().time()
                for address_id in await self._arrivals.left_behind():
                    self._work_on(address_id)
            except Exception as error:  # the loop that finds what was left behind must outlive every fault
                log.error("wechat.postponed", fault=type(error).__name__)
            await asyncio.sleep(_SWEEP_S)


async def _limited(request: web.Request) -> bytes:
    """The body, refused where no message is that long."""
    if (request.content_length or 0) > MAX_BODY:
        raise Refused("too_long")
    body = bytearray()
    with suppress(web.HTTPRequestEntityTooLarge):
        async for block in request.content.iter_chunked(MAX_BODY):
            body += block
            if len(body) > MAX_BODY:
                raise Refused("too_long")
    return bytes(body)


def _refuse(refused: Refused) -> web.Response:
    log.warning("wechat.refused", code=refused.code)
    return web.Response(status=403)
