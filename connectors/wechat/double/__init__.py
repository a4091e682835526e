"""The platform played on this machine: for tests, and for trying out what villagers and workers see.

Knows nothing of the connector; it speaks the platform's paths, parameters, signatures, limits and error codes, and reads
what it is sent with wechatpy.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from connectors.wechat.double.api import Api
from connectors.wechat.double.corp import Card, Corp
from connectors.wechat.double.corp_api import CorpApi
from connectors.wechat.double.kinds import EVENTS, MESSAGES, event_of, message_of
from connectors.wechat.double.media import Media
from connectors.wechat.double.oauth import OAuth
from connectors.wechat.double.people import Line, Reached, Villager, World
from connectors.wechat.double.pushing import Pushing
from connectors.wechat.double.rules import Rules

__all__ = ["EVENTS", "MESSAGES", "Card", "Double", "Reached", "Rules", "Villager"]


class Double:
    """One account with its followers, and its company in WeCom."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.world = World(self.rules)
        self.villagers, self.changed = self.world.villagers, self.world.changed
        self.media = Media(self.rules)
        self.pushing = Pushing(self.world, self.media)
        self.api = Api(self.world, self.media, self.pushing.event_later)
        self.oauth = OAuth(self.world, self.api.faults)
        self.corp = Corp(self.world)
        self.corp_api = CorpApi(self.world, self.corp, self.oauth)
        self.url = ""

    @asynccontextmanager
    async def running(
        self, port: int = 0, add: Callable[[web.Application], None] = lambda _: None
    ) -> AsyncIterator[str]:
        """Served on loopback; its address."""
        app = web.Application(client_max_size=16 * 1024 * 1024)
        self.corp_api.add_to(app)
        self.api.add_to(app)
        self.oauth.add_to(app)
        add(app)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        await self.pushing.open()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self.url
        finally:
            await self.pushing.close()
            await runner.cleanup()

    def villager(self, openid: str) -> Villager:
        """A follower, made if need be."""
        return self.villagers.setdefault(openid, Villager(openid))

    # -- what villagers do: each returns when the platform has its answer, or has given up ---------------------

    async def says(self, openid: str, text: str) -> None:
        """A text message."""
        await self.sends(openid, "text", Content=text)

    async def speaks(
        self, openid: str, sound: bytes, form: str = "amr", recognition: str | None = None, sound_16k: bytes = b""
    ) -> None:  # fmt: skip
        """A voice message, in AMR or `speex`; `recognition` as the platform may add it, None where it does not.

        With `sound_16k` there is the better sound as well, under MediaId16K.
        """
        more = {} if recognition is None else {"Recognition": recognition}
        if sound_16k:
            more["MediaId16K"] = self.media.put("voice", sound_16k)
        await self.sends(openid, "voice", MediaId=self.media.put("voice", sound), Format=form, **more)

    async def sends(self, openid: str, kind: str, **fields: Any) -> None:
        """A message of any kind; opens the two days in which the account may write."""
        who = self.villager(openid)
        now = self.rules.clock()
        who.did("message", now)
        content = message_of(kind, fields, self.media)
        message = {"CreateTime": int(now), "MsgType": kind, **content, "MsgId": self.pushing.new_id()}
        who.said.append(message)
        await self.world.draw(who, Line("mine", kind, str(content.get("Content", "")), n=len(who.said) - 1))
        await self.pushing.push(who, message)

    async def follows(self, openid: str, scene: str = "") -> None:
        """Follows the account, perhaps by a station's code."""
        who = self.villager(openid)
        who.follows, who.scene = True, scene
        who.did("follow", self.rules.clock())
        more = {"EventKey": f"qrscene_{scene}", "Ticket": scene} if scene else {}
        await self.event(openid, "subscribe", **more)

    async def unfollows(self, openid: str) -> None:
        """Follows no more."""
        self.villager(openid).follows = False
        await self.event(openid, "unsubscribe")

    async def scans(self, openid: str, scene: str) -> None:
        """Scans a station's code while following."""
        self.villager(openid).did("scan", self.rules.clock())
        await self.event(openid, "SCAN", EventKey=scene, Ticket=scene)

    async def taps(self, openid: str, key: str) -> None:
        """Taps an entry of the menu."""
        self.villager(openid).did("tap", self.rules.clock())
        await self.event(openid, "CLICK", EventKey=key)

    async def opens(self, openid: str, url: str) -> None:
        """Opens a page from the menu; from here on it is they who look at pages."""
        self.oauth.present = self.villager(openid).openid
        await self.event(openid, "VIEW", EventKey=url)

    async def event(self, openid: str, name: str, **fields: Any) -> None:
        """Any other event."""
        await self.world.draw(self.villager(openid), Line("note", name, str(fields.get("EventKey", ""))))
        content = event_of(name, fields)
        event = {"CreateTime": int(self.rules.clock()), "MsgType": "event", "Event": name, **content}
        await self.pushing.push(self.villager(openid), event)

    # -- what one waits for ------------------------------------------------------------------------------------

    async def until(self, holds: Callable[[], Any], within_s: float = 45.0) -> None:
        """Wait until something that reached somebody makes this true; TimeoutError else."""
        async with asyncio.timeout(within_s), self.changed:
            await self.changed.wait_for(holds)
