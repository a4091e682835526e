"""One open line of server-sent events, for consoles and for pages."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from handoff.service.hub import CLOSING, Event, Hub

ALIVE_S = 15.0
"""So often a sign of life is written, which also finds out that the page has gone."""

Translate = Callable[[Event], Awaitable[tuple[str, Any] | None]]


async def live_line(
    request: web.Request,
    hub: Hub,
    keys: tuple[str, ...],
    translate: Translate,
    on_open: Callable[[], Awaitable[None]] | None = None,
) -> web.StreamResponse:
    """Write what `translate` makes of each event (its name and data, or nothing) until the page goes or we do."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
    await response.prepare(request)
    with hub.listen(*keys) as queue:
        try:
            await response.write(b": open\n\n")
            if on_open is not None:
                await on_open()
            while (event := await _next(queue)) is not CLOSING:
                await response.write(_frame(await translate(event) if event is not None else None))
        except ConnectionError:
            pass  # the page has gone; it comes back by itself
    return response


async def _next(queue: "asyncio.Queue[Event]") -> Event | None:
    try:
        return await asyncio.wait_for(queue.get(), ALIVE_S)
    except TimeoutError:
        return None


def _frame(named: tuple[str, Any] | None) -> bytes:
    if named is None:
        return b": alive\n\n"
    name, data = named
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
