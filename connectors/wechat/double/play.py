"""The double as a page in the browser and as JSON under /_double: one plays a villager and sees the workers' WeCom."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path

import av
from aiohttp import web

from connectors.wechat.double import Double
from connectors.wechat.double.control import Control
from connectors.wechat.double.people import Villager
from connectors.wechat.double.sounds import to_amr, to_wav

PAGES = Path(__file__).parent
_PICTURES = {b"\x89PNG": "image/png", b"\xff\xd8": "image/jpeg", b"GIF8": "image/gif", b"BM": "image/bmp"}


class Play:
    """Routes over a double."""

    def __init__(self, double: Double) -> None:
        self._double = double
        self._going: set[asyncio.Task[None]] = set()

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        app.router.add_get("/", self._page)
        for name in ("chat.js", "chat.css"):
            app.router.add_get(f"/{name}", self._file)
        app.router.add_get("/_double/state", self._state)
        app.router.add_get("/_double/media", self._media)
        app.router.add_post("/_double/does", self._does)
        app.router.add_post("/_double/tap", self._tap)
        Control(self._double).add_to(app)

    async def _page(self, _request: web.Request) -> web.StreamResponse:
        return web.FileResponse(PAGES / "chat.html")

    async def _file(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(PAGES / request.path.removeprefix("/"))

    async def _state(self, request: web.Request) -> web.StreamResponse:
        """Everybody's screens; with `openid`, one villager's alone."""
        double, wanted = self._double, request.query.get("openid")
        return web.json_response({
            "villagers": [
                {
                    "openid": one.openid, "follows": one.follows, "chat": [asdict(line) for line in one.chat],
                    "reached": [
                        {"n": n, "at": it.at, "how": it.how, "kind": it.kind, "text": it.text, "link": it.link, "answers": it.answers}
                        for n, it in enumerate(one.reached)
                    ],
                    "said": [{"kind": it["MsgType"], "text": it.get("Content", ""), "at": it["CreateTime"]} for it in one.said],
                }
                for one in double.villagers.values() if wanted in (None, one.openid)
            ],
            "menu": (double.api.menu or {}).get("button", []),
            "cards": [
                {
                    "n": n, "at": card.at, "worker": card.worker, "text": card.text, "words": card.words, "link": card.link,
                    "task": card.task, "changed_to": card.changed_to,
                }
                for n, card in enumerate(double.corp.cards)
            ],
            "calls": len(double.api.calls), "tokens": double.api.tokens.given, "tries": len(double.pushing.tries),
        })  # fmt: skip

    async def _media(self, request: web.Request) -> web.StreamResponse:
        """A sound or picture as a browser shows it: `of` is `said` or `reached`, `n` the place in it."""
        try:
            villager, n = self._double.villagers[request.query["openid"]], int(request.query["n"])
            data = self._said(villager, n) if request.query.get("of") == "said" else villager.reached[n].media
        except (KeyError, ValueError, IndexError):
            raise web.HTTPNotFound from None
        for start, kind in _PICTURES.items():
            if data.startswith(start):
                return web.Response(body=data, content_type=kind)
        if not data.startswith(b"#!AMR"):
            return web.Response(body=data, content_type="audio/mpeg")
        try:
            return web.Response(body=await asyncio.to_thread(to_wav, data), content_type="audio/wav")
        except av.FFmpegError:
            raise web.HTTPNotFound from None

    def _said(self, villager: Villager, n: int) -> bytes:
        return self._double.media.get(str(villager.said[n].get("MediaId"))) or b""

    async def _does(self, request: web.Request) -> web.StreamResponse:
        """`{"openid", "what": says|speaks|follows|unfollows|scans|taps|opens|sends, …}`; with `wait`, until it is answered."""
        body = await request.json()
        double, openid, what = self._double, str(body["openid"]), str(body["what"])
        acts: dict[str, Callable[[], Awaitable[None]]] = {
            "says": lambda: double.says(openid, str(body["text"])),
            "speaks": lambda: self._speaks(openid, base64.b64decode(body["sound"])),
            "follows": lambda: double.follows(openid, str(body.get("scene", ""))),
            "unfollows": lambda: double.unfollows(openid),
            "scans": lambda: double.scans(openid, str(body["scene"])),
            "taps": lambda: double.taps(openid, str(body["key"])),
            "opens": lambda: double.opens(openid, str(body["url"])),
            "sends": lambda: double.sends(openid, str(body["kind"]), **body.get("fields", {})),
        }
        if what not in acts:
            return web.json_response({"error": f"what: {', '.join(acts)}"}, status=400)
        going = asyncio.ensure_future(acts[what]())
        self._going.add(going)
        going.add_done_callback(self._going.discard)
        if body.get("wait"):
            await going
        return web.json_response({"ok": True})

    async def _speaks(self, openid: str, recording: bytes) -> None:
        """What a browser recorded, whatever its format; what is no sound comes to nothing."""
        try:
            sound = await asyncio.to_thread(to_amr, recording)
        except av.FFmpegError:
            return
        await self._double.speaks(openid, sound)

    async def _tap(self, request: web.Request) -> web.StreamResponse:
        n = int((await request.json())["n"])
        return web.json_response({"status": await self._double.corp.tap(self._double.corp.cards[n])})
