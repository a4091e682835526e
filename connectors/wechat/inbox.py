"""What villagers send to the Official Account: on record first, answered within the platform's five seconds or after."""

import asyncio
from contextlib import suppress
from weakref import WeakValueDictionary

import structlog
from aiohttp import web

from connectors.wechat.arrivals import Arrivals
from connectors.wechat.envelope import MAX_BODY, Envelope, Opened, Refused, message_key
from connectors.wechat.reading import Reading
from connectors.wechat.way import Part, WeChatWay
from handoff.model.clock import Clock
from handoff.service.dispatch import Dispatch
from handoff.store.database import Store
from handoff.store.tables import Arrival, Reply

log = structlog.get_logger("connectors.wechat")

ANSWER_WITHIN_S = 4.0
"""The platform waits five seconds; what is not ready by then is sent afterwards."""
_TOO_LATE_S = 4.4  # of the platform's five seconds, less what writing it takes
_SWEEP_S = 1.0
_SUCCESS = "success"


class Inbox:
    """The address that the platform calls, and the work behind it."""

    def __init__(
        self, envelope: Envelope, arrivals: Arrivals, reading: Reading, way: WeChatWay, store: Store, dispatch: Dispatch, clock: Clock
    ) -> None:  # fmt: skip
        self._envelope = envelope
        self._arrivals = arrivals
        self._reading = reading
        self._way = way
        self._store = store
        self._dispatch = dispatch
        self._clock = clock
        self._locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        self._waiting: dict[int, asyncio.Future[list[str]]] = {}
        self._working: set[asyncio.Task[None]] = set()
        self._sweeping: asyncio.Task[None] | None = None

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        app.router.add_get("/wechat", self._check)
        app.router.add_post("/wechat", self._receive)

    def start(self) -> None:
        """Take up what a crash has left, now and whenever something is left behind."""
        self._sweeping = asyncio.create_task(self._sweep())

    async def close(self) -> None:
        """Begin nothing more; what is unfinished stays on record."""
        unfinished = [*self._working, *([self._sweeping] if self._sweeping else [])]
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)

    async def _check(self, request: web.Request) -> web.StreamResponse:
        try:
            return web.Response(text=self._envelope.echo(request.query))
        except Refused as refused:
            return _refuse(refused)

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        began = asyncio.get_running_loop().time()
        try:
            self._envelope.check(request.query)
            body = await _limited(request)
            opened = self._envelope.open(request.query, body)
        except Refused as refused:
            return _refuse(refused)
        message = opened.message
        arrival, new = await self._arrivals.record(
            str(message.source), message_key(message), dict(message._data)
        )
        if not new and arrival.done_at is not None:
            # A repeat of what is done: its answer once more only if it was on its way when we fell down.
            outcome = arrival.outcome or {}
            replies = outcome["replies"] if outcome.get("offered") else None
            if replies and not await self._arrivals.offer(arrival.id):
                replies = None
        else:
            replies = await self._wait_for(arrival)
        if not replies:
            return web.Response(text=_SUCCESS)
        late = asyncio.get_running_loop().time() - began > _TOO_LATE_S
        return await self._answer(request, opened, arrival, replies, late=late)

    async def _wait_for(self, arrival: Arrival) -> list[str] | None:
        """The replies, if they are ready in time; else they are sent afterwards by whoever works on them."""
        if arrival.id in self._waiting:
            return None  # a duplicate; its twin gets the answer
        ready = self._waiting[arrival.id] = asyncio.get_running_loop().create_future()
        self._work_on(arrival.address_id)
        try:
            return await asyncio.wait_for(asyncio.shield(ready), ANSWER_WITHIN_S)
        except TimeoutError:
            self._waiting.pop(arrival.id, None)
            # Ready in this very moment: nobody else would send it.
            return ready.result() if ready.done() else None

    async def _answer(
        self, request: web.Request, opened: Opened, arrival: Arrival, replies: list[str], *, late: bool
    ) -> web.StreamResponse:
        """The first message of the first reply goes back with the request; the rest is sent.

        late: on a busy machine the platform's patience may be over when the answer arrives; then all is sent.
        """
        async with self._store.read() as session:
            reply = await session.get_one(Reply, replies[0])
        if late or await self._way.earlier(reply):
            # Something that was said before is still on its way: this comes behind it.
            await self._arrivals.not_offered(arrival.id)
            await self._dispatch.send(reply.id)
            return web.Response(text=_SUCCESS)
        parts = await self._way.parts(reply)
        # On record before it goes out: if we fall down in between, the platform asks again and gets it then.
        await self._first_is_given(reply.id, parts)
        response = web.Response(
            text=self._envelope.text(opened, parts[0].words), content_type="text/xml", charset="utf-8"
        )
        await response.prepare(request)
        await response.write_eof()
        await self._arrivals.given(arrival.id)
        if len(parts) > 1:
            await self._dispatch.send(reply.id)
        for other in replies[1:]:
            await self._dispatch.send(other)
        return response

    async def _first_is_given(self, reply_id: str, parts: list[Part]) -> None:
        if len(parts) == 1:
            await self._dispatch.shown_now(reply_id)
        else:
            await self._dispatch.part_arrived(reply_id, 1)

    # -- the work ------------------------------------------------------------------------------------------

    def _work_on(self, address_id: int) -> None:
        task = asyncio.create_task(self._drain(address_id))
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    async def _drain(self, address_id: int) -> None:
        """Everything open of one sender, one after the other."""
        async with self._locks.setdefault(address_id, asyncio.Lock()):
            while (arrival := await self._arrivals.next_of(address_id)) is not None:
                try:
                    async with self._arrivals.held(arrival):
                        await self._do(arrival)
                except (
                    Exception
                ) as error:  # the next message must not wait behind one that fails; it is tried again
                    log.error("wechat.postponed", arrival=arrival.id, fault=type(error).__name__)
                    return

    async def _do(self, arrival: Arrival) -> None:
        replies = await self._reading.take(arrival)
        await self._arrivals.done(arrival.id, replies, offered=bool(replies) and arrival.id in self._waiting)
        ready = self._waiting.pop(arrival.id, None)
        if ready is not None and not ready.done():
            ready.set_result(replies)
            return
        await self._arrivals.not_offered(arrival.id)
        for reply in replies:
            await self._dispatch.send(reply)

    async def _sweep(self) -> None:
        while True:
            try:
                await self._arrivals.tidy()
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
