"""WeCom's far end for tests: hands out tokens, takes messages, calls back when somebody taps a card."""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import xmltodict
from aiohttp import web
from wechatpy.enterprise.crypto import WeChatCrypto

CORP_ID, AGENT_ID, SECRET = "ww9d1d1d1d1d1d1d1d", 1000002, "wecom-secret-of-the-test"
TOKEN, AES_KEY = "qingshi", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
SETTINGS: dict[str, Any] = {
    "wecom_corp_id": CORP_ID, "wecom_agent_id": AGENT_ID, "wecom_secret": SECRET,
    "wecom_token": TOKEN, "wecom_aes_key": AES_KEY, "public_url": "https://xy.example.cn",
}  # fmt: skip
"""Of a county that is connected; the address of the far end is to be added."""

_ids = itertools.count(1)


@dataclass
class FarWecom:
    """What the platform knows and has taken."""

    url: str = ""
    members: set[str] = field(default_factory=set)
    """Accounts in small letters."""
    sent: list[dict[str, Any]] = field(default_factory=list)
    """Messages that were taken."""
    asked: list[str] = field(default_factory=list)
    """Calls that came in, by name."""
    answers: deque[Any] = field(default_factory=deque)
    """Given instead of what would be, one a message: an errcode, an object, a web.Response."""
    token_answers: deque[Any] = field(default_factory=deque)
    tokens: set[str] = field(default_factory=set)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is not set, nothing is answered."""

    def reset(self) -> None:
        """As at the beginning; tokens go on."""
        for one in (self.sent, self.asked, self.answers, self.token_answers):
            one.clear()
        self.gate.set()

    def to(self, who: str) -> list[dict[str, Any]]:
        """What this member has got."""
        return [one for one in self.sent if one["touser"] == who]

    async def get_token(self, request: web.Request) -> web.StreamResponse:
        """GET gettoken."""
        self.asked.append("gettoken")
        if self.token_answers:
            return _given(self.token_answers.popleft())
        if (request.query["corpid"], request.query["corpsecret"]) != (CORP_ID, SECRET):
            return _given(40001)
        token = f"token-{next(_ids)}"
        self.tokens = {token}
        return web.json_response({"errcode": 0, "errmsg": "ok", "access_token": token, "expires_in": 7200})

    async def take(self, request: web.Request) -> web.StreamResponse:
        """POST message/send."""
        self.asked.append("send")
        await self.gate.wait()
        if request.query.get("access_token") not in self.tokens:
            return _given(40014)
        if self.answers:
            return _given(self.answers.popleft())
        message = await request.json()
        if message["agentid"] != AGENT_ID:
            return _given(301002)
        if message["touser"].lower() not in self.members:
            return _given(81013)
        self.sent.append(message)
        return web.json_response({"errcode": 0, "errmsg": "ok", "msgid": "m", "response_code": "c"})


def _given(answer: Any) -> web.StreamResponse:
    if isinstance(answer, web.StreamResponse):
        return answer
    return web.json_response(answer if isinstance(answer, dict) else {"errcode": answer, "errmsg": "not ok"})


@asynccontextmanager
async def far_wecom(*members: str) -> AsyncIterator[FarWecom]:
    """A far end with these members."""
    far = FarWecom(members={*members})
    far.gate.set()
    app = web.Application()
    app.router.add_get("/cgi-bin/gettoken", far.get_token)
    app.router.add_post("/cgi-bin/message/send", far.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    far.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield far
    finally:
        await runner.cleanup()


# -- what WeCom calls -------------------------------------------------------------------------------------


def sealed(
    xml: str, at: float, *, corp_id: str = CORP_ID, token: str = TOKEN, key: str = AES_KEY
) -> tuple[dict[str, str], bytes]:
    """A request as WeCom makes it at this time: query and body."""
    stamp, nonce = str(int(at)), f"n{next(_ids)}"
    closed = WeChatCrypto(token, key, corp_id).encrypt_message(xml, nonce, stamp)
    outer = xmltodict.parse(closed)["xml"]
    body = (
        f"<xml><ToUserName><![CDATA[{corp_id}]]></ToUserName><AgentID><![CDATA[{AGENT_ID}]]></AgentID>"
        f"<Encrypt><![CDATA[{outer['Encrypt']}]]></Encrypt></xml>"
    )
    return {"msg_signature": outer["MsgSignature"], "timestamp": stamp, "nonce": nonce}, body.encode()


def tap_xml(who: str, task: str, key: str = "seen") -> str:
    """The event of a tapped button, as the platform's page on 模板卡片事件推送 has it."""
    return (
        f"<xml><ToUserName><![CDATA[{CORP_ID}]]></ToUserName><FromUserName><![CDATA[{who}]]></FromUserName>"
        f"<MsgType><![CDATA[event]]></MsgType><Event><![CDATA[template_card_event]]></Event>"
        f"<CreateTime>{int(time.time())}</CreateTime><EventKey><![CDATA[{key}]]></EventKey>"
        f"<TaskId><![CDATA[{task}]]></TaskId><CardType><![CDATA[button_interaction]]></CardType>"
        f"<ResponseCode><![CDATA[RC]]></ResponseCode><AgentID>{AGENT_ID}</AgentID></xml>"
    )


@dataclass
class Called:
    """What came back: `said` as wechatpy opens it, None where there was no body."""

    status: int
    said: dict[str, Any] | None


async def call(address: str, query: dict[str, str], body: bytes) -> Called:
    """One POST of the platform."""
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{address}/wecom", params=query, data=body) as answer,
    ):
        text = await answer.text()
        if answer.status != 200 or not text:
            return Called(answer.status, None)
    outer = xmltodict.parse(text)["xml"]
    opened = WeChatCrypto(TOKEN, AES_KEY, CORP_ID).decrypt_message(
        text, outer["MsgSignature"], outer["TimeStamp"], outer["Nonce"]
    )
    return Called(answer.status, xmltodict.parse(opened)["xml"])


async def tap(address: str, who: str, task: str, at: float, key: str = "seen") -> str:
    """Somebody taps a card; what stands there then."""
    done = await call(address, *sealed(tap_xml(who, task, key), at))
    assert done.status == 200 and done.said is not None, done
    assert (done.said["ToUserName"], done.said["MsgType"]) == (who, "update_button")
    return str(done.said["Button"]["ReplaceName"])
