"""What the platform pushes to the connector: signed, sent again where no answer comes, the answer read."""

import asyncio
import secrets
from typing import Any

import aiohttp
import xmltodict
from wechatpy.crypto import WeChatCrypto

from connectors.wechat.double.media import Media
from connectors.wechat.double.people import Reached, Villager, World
from connectors.wechat.double.sealing import new_nonce, opened, sealed, sign, xml_of

OUT_OF_ORDER = "该公众号提供的服务出现故障，请稍后再试"
ACCOUNT = "gh_xiangyin"
_MOST_TEXT = 2048
_WORDLESS = ("", "success")


class Pushing:
    """Sends messages and events of villagers to the callback, as the platform does."""

    def __init__(self, world: World, media: Media) -> None:
        self._world = world
        self._rules = world.rules
        self._media = media
        self._http: aiohttp.ClientSession | None = None
        self._ids = iter(range(24_000_000_000_000_000, 25_000_000_000_000_000))
        self._later: set[asyncio.Task[None]] = set()
        self.tries: list[tuple[str, int | str]] = []
        """Each try: MsgId (or the event), and the status, `slow` or `down`."""

    async def open(self) -> None:
        """Ready to push."""
        self._http = aiohttp.ClientSession()

    async def close(self) -> None:
        """Push no more."""
        for task in self._later:
            task.cancel()
        await asyncio.gather(*self._later, return_exceptions=True)
        if self._http is not None:
            await self._http.close()

    def new_id(self) -> str:
        """A MsgId that no other message has."""
        return str(next(self._ids))

    async def verify(self) -> bool:
        """As when the address is entered under 服务器配置: it must answer with what it was sent."""
        echo = secrets.token_hex(8)
        try:
            async with self._session.get(
                self._rules.callback, params={**self._signed(), "echostr": echo}, timeout=self._patience
            ) as answer:
                return answer.status == 200 and await answer.text() == echo
        except (TimeoutError, aiohttp.ClientError):
            return False

    def event_later(self, villager: Villager, name: str, fields: dict[str, Any]) -> None:
        """Push an event by and by; the call that it is the result of is answered first."""
        if self._rules.callback:
            event = {"CreateTime": int(self._rules.clock()), "MsgType": "event", "Event": name, **fields}
            task = asyncio.ensure_future(self.push(villager, event))
            self._later.add(task)
            task.add_done_callback(self._later.discard)

    async def push(self, villager: Villager, fields: dict[str, Any]) -> None:
        """Push until it is answered, at most so often as the platform does; what is answered reaches the villager."""
        xml = xml_of({"ToUserName": ACCOUNT, "FromUserName": villager.openid, **fields})
        name = str(fields.get("MsgId") or fields.get("Event"))
        twice = self._rules.dice.random() < self._rules.duplicates
        # A duplicate is the same message by another of the platform's machines at the same time.
        await asyncio.gather(*(self._until_answered(villager, name, xml) for _ in range(1 + twice)))

    async def _until_answered(self, villager: Villager, name: str, xml: str) -> None:
        for _ in range(self._rules.tries):
            outcome, body = await self._once(xml)
            self.tries.append((name, outcome))
            await self._world.tell()
            if outcome == 200:
                await self._deliver(villager, name, body)
                return
            if outcome == "down":
                await asyncio.sleep(self._rules.patience_s)
        await self._fault(villager, name)

    async def _once(self, xml: str) -> tuple[int | str, str]:
        query, body = self._sealed(xml)
        try:
            async with self._session.post(
                self._rules.callback, params=query, data=body.encode(), timeout=self._patience,
                headers={"Content-Type": "text/xml"}, allow_redirects=False,
            ) as answer:  # fmt: skip
                status, text = answer.status, await answer.text()
        except TimeoutError:
            return "slow", ""
        except (aiohttp.ClientError, UnicodeDecodeError):
            return "down", ""
        if self._rules.answers_lost and text.strip() not in _WORDLESS:
            self._rules.answers_lost -= 1
            await asyncio.sleep(self._rules.patience_s)
            return "slow", ""
        return status, text

    def _signed(self) -> dict[str, str]:
        stamp, nonce = str(int(self._rules.clock())), new_nonce()
        return {"timestamp": stamp, "nonce": nonce, "signature": sign(self._rules.token, stamp, nonce)}

    def _sealed(self, xml: str) -> tuple[dict[str, str], str]:
        query = self._signed()
        if self._rules.mode == "plain":
            return query, xml
        cipher, signature = sealed(self._crypto, xml, query["timestamp"], query["nonce"])
        query |= {"encrypt_type": "aes", "msg_signature": signature}
        if self._rules.mode == "compatible":
            return query, xml.removesuffix("</xml>") + f"<Encrypt><![CDATA[{cipher}]]></Encrypt></xml>"
        return query, xml_of({"ToUserName": ACCOUNT, "Encrypt": cipher})

    async def _deliver(self, villager: Villager, name: str, body: str) -> None:
        if body.strip() in _WORDLESS:
            return
        try:
            reached = self._read(villager, name, body)
        except Exception:  # whatever it was, the villager sees one sentence
            await self._fault(villager, name)
            return
        await self._world.reach(villager, reached)

    def _read(self, villager: Villager, name: str, body: str) -> Reached:
        """A passive reply; raises whatever is wrong with it."""
        found = dict(xmltodict.parse(body)["xml"])
        if "Encrypt" in found and self._rules.mode != "plain":
            found = opened(self._crypto, body)
        elif self._rules.mode == "safe":
            raise ValueError("not encrypted")
        if (found["ToUserName"], found["FromUserName"]) != (villager.openid, ACCOUNT):
            raise ValueError("not for them, or not from the account")
        kind, text, media, link = found["MsgType"], found.get("Content") or "", b"", ""
        if kind in ("voice", "image"):
            media = self._media.sent(found[kind.capitalize()]["MediaId"], kind)
        elif kind == "news":
            text, link = _article(found)
        elif kind != "text" or not text or len(text.encode()) > _MOST_TEXT:
            raise ValueError("no kind that there is, nothing in it, or too long")
        int(found["CreateTime"])
        return Reached(self._rules.clock(), "passive", kind, text, media, name, link)

    async def _fault(self, villager: Villager, name: str) -> None:
        reached = Reached(self._rules.clock(), "passive", "fault", OUT_OF_ORDER, answers=name)
        await self._world.reach(villager, reached)

    @property
    def _session(self) -> aiohttp.ClientSession:
        assert self._http is not None  # noqa: S101  # open() was called
        return self._http

    @property
    def _patience(self) -> aiohttp.ClientTimeout:
        return aiohttp.ClientTimeout(total=self._rules.patience_s)

    @property
    def _crypto(self) -> WeChatCrypto:
        return WeChatCrypto(self._rules.token, self._rules.aes_key, self._rules.app_id)


def _article(found: dict[str, Any]) -> tuple[str, str]:
    """Words and link of a reply of kind news; only the first of its articles is shown."""
    items = found["Articles"]["item"]
    first = items[0] if isinstance(items, list) else items
    return "\n".join(filter(None, (first.get("Title"), first.get("Description")))), first.get("Url") or ""
