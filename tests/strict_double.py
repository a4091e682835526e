"""The far end of the dialogue client: a real HTTP server with the strict channel's contract, told what to do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

Message = dict[str, Any]


def answer(
    *messages: Message | str, need: str = "goods", intent: str = "goods", **more: Any
) -> dict[str, Any]:
    """A full answer; a plain string is a text message."""
    said = [{"text": message} if isinstance(message, str) else message for message in messages]
    return {"messages": said, "need": need, "intent": intent, "confidence": 0.9, "state": None} | more


def effect(name: str, **fields: Any) -> Message:
    """A message that carries an effect."""
    return {"effect": {"name": name, **fields}}


class StrictDouble:
    """Answers each text as the test has said, and remembers what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[dict[str, Any]] = []
        self.script: dict[str, Any] = {}
        """By text: a JSON answer, raw bytes, a status, or the words `hang` and `crash`."""
        self.otherwise: Any = answer("好的，我记着了。")
        self.release = asyncio.Event()

    def times_asked(self, text: str) -> int:
        """How often this was asked."""
        return sum(body["text"] == text for body in self.asked)

    def reset(self) -> None:
        """Forget what a test has told it."""
        self.release.set()
        self.release = asyncio.Event()
        self.script.clear()
        self.asked.clear()
        self.otherwise = answer("好的，我记着了。")

    async def _turn(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked.append(body)
        what = self.script.get(body["text"], self.otherwise)
        if what == "hang":
            await self.release.wait()
            what = self.otherwise
        if what == "crash":
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        if isinstance(what, int):
            return web.json_response({"error": "crashed"}, status=what)
        if isinstance(what, bytes):
            return web.Response(body=what, content_type="application/json")
        return web.json_response(what)

    async def _health(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"status": "ok", "model": "double"})


@asynccontextmanager
async def strict_double() -> AsyncIterator[StrictDouble]:
    """The server on a free loopback port."""
    double = StrictDouble()
    app = web.Application()
    app.router.add_get("/webhooks/strict/", double._health)
    app.router.add_post("/webhooks/strict/turn", double._turn)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    double.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield double
    finally:
        double.reset()
        await runner.cleanup()
