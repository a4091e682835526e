"""The platform's double keeps the platform's rules; asked by wechatpy's own client, read by wechatpy's own parser."""

import asyncio
import base64
import io
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import av
import numpy as np
import pytest
import requests
from aiohttp import ClientSession, web
from wechatpy import WeChatClient, WeChatOAuth, create_reply, parse_message
from wechatpy.crypto import WeChatCrypto
from wechatpy.enterprise import WeChatClient as CorpClient
from wechatpy.enterprise.crypto import WeChatCrypto as CorpCrypto
from wechatpy.exceptions import WeChatClientException
from wechatpy.replies import TextReply, VoiceReply
from wechatpy.utils import check_signature

from connectors.wechat.double import EVENTS, MESSAGES, Double, Rules
from connectors.wechat.double.play import Play
from connectors.wechat.double.pushing import OUT_OF_ORDER

DAY = 86400.0
WANG, LI = "o-wang", "o-li"


@dataclass
class Ear:
    """Whoever the platform calls: opens what comes with wechatpy, answers what it is told to."""

    double: Double
    heard: list[Any] = field(default_factory=list)
    queries: list[dict[str, str]] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)
    taps: list[Any] = field(default_factory=list)
    answer: Callable[[Any], str] = lambda _message: "success"
    statuses: list[int | str] = field(default_factory=list)
    """What comes next: a status, or `never`."""
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def get(self, request: web.Request) -> web.Response:
        query = request.query
        check_signature(self.double.rules.token, query["signature"], query["timestamp"], query["nonce"])
        return web.Response(text=query["echostr"])

    async def post(self, request: web.Request) -> web.Response:
        query, body = dict(request.query), await request.text()
        check_signature(self.double.rules.token, query["signature"], query["timestamp"], query["nonce"])
        self.queries.append(query)
        self.bodies.append(body)
        status = self.statuses.pop(0) if self.statuses else 200
        if status == "never":
            await self.release.wait()
        if query.get("encrypt_type") == "aes":
            body = self.crypto.decrypt_message(
                body, query["msg_signature"], query["timestamp"], query["nonce"]
            )
        message = parse_message(body)
        self.heard.append(message)
        return web.Response(status=200 if status == "never" else int(status), text=self.answer(message))

    async def corp_get(self, request: web.Request) -> web.Response:
        query = request.query
        echo = self.corp_crypto.check_signature(
            query["msg_signature"], query["timestamp"], query["nonce"], query["echostr"]
        )
        return web.Response(text=str(echo))

    async def corp_post(self, request: web.Request) -> web.Response:
        query, body = request.query, await request.text()
        plain = self.corp_crypto.decrypt_message(
            body, query["msg_signature"], query["timestamp"], query["nonce"]
        )
        self.taps.append(plain)
        return web.Response(text=self.answer(plain))

    @property
    def crypto(self) -> WeChatCrypto:
        rules = self.double.rules
        return WeChatCrypto(rules.token, rules.aes_key, rules.app_id)

    @property
    def corp_crypto(self) -> CorpCrypto:
        rules = self.double.rules
        return CorpCrypto(rules.corp_token, rules.corp_aes_key, rules.corp_id)


@dataclass
class Here:
    """The double, an ear, and time that moves by hand."""

    double: Double
    ear: Ear
    now: float = 1_800_000_000.0

    async def call(self, work: Callable[[WeChatClient], Any]) -> Any:
        """By wechatpy's client with a good token; the errcode where it is refused."""
        token = str(self.double.api.tokens.stable(force=False)["access_token"])
        return await self.call_with(token, work)

    async def call_with(self, token: str, work: Callable[[WeChatClient], Any]) -> Any:
        class Client(WeChatClient):  # type: ignore[misc]
            API_BASE_URL = f"{self.double.url}/cgi-bin/"

        client = Client(
            self.double.rules.app_id, self.double.rules.secret, access_token=token, auto_retry=False
        )
        return await asyncio.to_thread(_done, client, work)

    async def call_corp(self, work: Callable[[CorpClient], Any]) -> Any:
        class Client(CorpClient):  # type: ignore[misc]
            API_BASE_URL = f"{self.double.url}/cgi-bin/"

        rules = self.double.rules
        asked = {"corpid": rules.corp_id, "corpsecret": rules.corp_secret}
        given = (await self.asks("GET", "/cgi-bin/gettoken", params=asked))[1]
        # Its own way to a token knows one address only: the platform's.
        client = Client(
            rules.corp_id, rules.corp_secret, access_token=given["access_token"], auto_retry=False
        )
        return await asyncio.to_thread(_done, client, work)

    async def asks(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        """Without wechatpy: status and JSON."""
        async with ClientSession() as http:
            url = f"{self.double.url}{path}"
            async with http.request(method, url, allow_redirects=False, **more) as answer:
                text = await answer.text()
                return answer.status, await answer.json(content_type=None) if text[:1] in "[{" else text

    async def classic(self) -> dict[str, Any]:
        rules = self.double.rules
        asked = {"grant_type": "client_credential", "appid": rules.app_id, "secret": rules.secret}
        return dict((await self.asks("GET", "/cgi-bin/token", params=asked))[1])

    async def stable(self, **more: Any) -> dict[str, Any]:
        rules = self.double.rules
        body = {"grant_type": "client_credential", "appid": rules.app_id, "secret": rules.secret, **more}
        return dict((await self.asks("POST", "/cgi-bin/stable_token", json=body))[1])


def _done(client: Any, work: Callable[[Any], Any]) -> Any:
    try:
        return work(client)
    except WeChatClientException as error:
        return error.errcode
    finally:
        client._http.close()


@asynccontextmanager
async def played(**rules: Any) -> AsyncIterator[Here]:
    double = Double(Rules(patience_s=5.0, **rules))
    here = Here(double, Ear(double))
    double.rules.clock = lambda: here.now
    app = web.Application()
    app.router.add_get("/wechat", here.ear.get)
    app.router.add_post("/wechat", here.ear.post)
    app.router.add_get("/wecom", here.ear.corp_get)
    app.router.add_post("/wecom", here.ear.corp_post)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    double.rules.callback, double.rules.corp_callback = f"{base}/wechat", f"{base}/wecom"
    try:
        async with double.running(add=Play(double).add_to):
            yield here
    finally:
        here.ear.release.set()
        await runner.cleanup()


@pytest.fixture
async def here() -> AsyncIterator[Here]:
    async with played() as one:
        yield one


def sound(seconds: float, container: str = "amr") -> bytes:
    """A tone as AMR or MP3."""
    codec = {"amr": "libopencore_amrnb", "mp3": "libmp3lame"}[container]
    rate = 8000 if container == "amr" else 16000
    out = io.BytesIO()
    with av.open(out, "w", format=container) as box:
        stream = box.add_stream(codec, rate=rate)
        stream.layout = "mono"
        tone = (np.sin(np.arange(int(seconds * rate)) * 0.2) * 9000).astype("<i2").reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
        frame.sample_rate = rate
        resampler = av.AudioResampler(stream.format.name, "mono", rate, frame_size=stream.frame_size or 160)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            box.mux(stream.encode(piece))
        box.mux(stream.encode(None))
    return out.getvalue()


def silence(seconds: float) -> bytes:
    """As AMR, frame by frame: quicker than encoding a minute."""
    return b"#!AMR\n" + (b"\x3c" + bytes(31)) * round(seconds * 50)


def text(words: str, to: str = WANG) -> Callable[[WeChatClient], Any]:
    return lambda client: client.message.send_text(to, words)


# -- tokens ---------------------------------------------------------------------------------------------------


async def test_a_stable_token_stays_the_same_until_shortly_before_its_end(here: Here) -> None:
    first = await here.stable()
    assert first["expires_in"] == 7200
    here.now += 6800
    assert await here.stable() == {**first, "expires_in": 400}
    here.now += 101  # within the last five minutes
    second = await here.stable()
    assert second["access_token"] != first["access_token"] and second["expires_in"] == 7200
    assert here.double.api.tokens.fault_of(first["access_token"]) == 0
    here.now += 300
    assert await here.call_with(first["access_token"], lambda client: client.menu.get()) == 42001


async def test_the_old_token_lives_five_minutes_after_a_forced_one(here: Here) -> None:
    first, second = await here.stable(), await here.stable(force_refresh=True)
    assert first["access_token"] != second["access_token"]
    here.now += 299
    assert here.double.api.tokens.fault_of(first["access_token"]) == 0
    here.now += 1
    assert here.double.api.tokens.fault_of(first["access_token"]) == 42001
    assert here.double.api.tokens.fault_of(second["access_token"]) == 0


async def test_a_token_is_forced_twenty_times_a_day_and_thirty_seconds_apart(here: Here) -> None:
    assert "access_token" in await here.stable(force_refresh=True)
    here.now += 29
    assert (await here.stable(force_refresh=True))["errcode"] == 45011
    for _ in range(19):
        here.now += 30
        assert "access_token" in await here.stable(force_refresh=True)
    here.now += 30
    assert (await here.stable(force_refresh=True))["errcode"] == 45009
    here.now += DAY
    assert "access_token" in await here.stable(force_refresh=True)


async def test_a_classic_token_takes_the_place_of_the_classic_one_only(here: Here) -> None:
    stable = (await here.stable())["access_token"]
    one, other = (await here.classic())["access_token"], (await here.classic())["access_token"]
    here.now += 301
    faults = [here.double.api.tokens.fault_of(token) for token in (stable, one, other)]
    assert faults == [0, 42001, 0]


@pytest.mark.parametrize(
    ("change", "code"),
    [({"secret": "x"}, 40125), ({"appid": "wx"}, 40013), ({"grant_type": "x"}, 40002)],
)
async def test_who_may_not_have_a_token(here: Here, change: dict[str, str], code: int) -> None:
    assert (await here.stable(**change))["errcode"] == code


async def test_from_an_address_that_is_not_listed_there_is_no_token(here: Here) -> None:
    here.double.rules.listed = False
    assert (await here.stable())["errcode"] == 40164
    assert (await here.classic())["errcode"] == 40164


async def test_tokens_that_are_no_good(here: Here) -> None:
    token = (await here.stable())["access_token"]
    here.double.api.tokens.invalidate()
    assert await here.call_with(token, text("好")) == 40001
    assert await here.call_with("rubbish", text("好")) == 40014
    assert (await here.asks("GET", "/cgi-bin/menu/get"))[1]["errcode"] == 41001


async def test_a_short_life_is_short(here: Here) -> None:
    here.double.rules.token_life_s = 20.0
    first = await here.stable()
    assert first["expires_in"] == 20
    here.now += 20
    assert await here.call_with(first["access_token"], text("好")) == 42001


# -- writing to a villager ------------------------------------------------------------------------------------


async def test_five_messages_for_each_of_theirs(here: Here) -> None:
    for _ in range(2):
        await here.double.says(WANG, "在吗")
        codes = [await here.call(text(f"第{n}句")) for n in range(6)]
        assert [isinstance(code, dict) for code in codes] == [True] * 5 + [False] and codes[5] == 45047
    assert len(here.double.villager(WANG).reached) == 10
    assert {(one.how, one.kind) for one in here.double.villager(WANG).reached} == {("custom", "text")}


async def test_after_two_days_the_window_is_closed(here: Here) -> None:
    await here.double.says(WANG, "在吗")
    here.now += 2 * DAY - 1
    assert isinstance(await here.call(text("在")), dict)
    here.now += 1
    assert await here.call(text("在")) == 45015


@pytest.mark.parametrize("what", ["follows", "scans", "taps"])
async def test_three_within_a_minute_after(here: Here, what: str) -> None:
    does = {
        "follows": lambda: here.double.follows(WANG),
        "scans": lambda: here.double.scans(WANG, "qingshi"),
        "taps": lambda: here.double.taps(WANG, "human"),
    }[what]
    await does()
    assert [isinstance(await here.call(text("好")), dict) for _ in range(3)] == [True] * 3
    assert await here.call(text("好")) == 45047
    await does()
    here.now += 60
    assert await here.call(text("好")) == 45015


async def test_who_can_not_be_written_to(here: Here) -> None:
    here.double.villager(LI)
    assert await here.call(text("好", LI)) == 45015
    assert await here.call(text("好", "o-nobody")) == 40003
    await here.double.says(LI, "在")
    await here.double.unfollows(LI)
    assert await here.call(text("好", LI)) == 43004
    await here.double.follows(LI)
    here.double.rules.verified = False
    assert await here.call(text("好", LI)) == 48001
    assert here.double.villager(LI).reached == []


async def test_what_can_not_be_written(here: Here) -> None:
    await here.double.says(WANG, "在")
    assert await here.call(text("")) == 44004
    assert await here.call(text("一" * 683)) == 45002
    assert await here.call(lambda client: client.message.send_voice(WANG, "nothing")) == 40007
    assert (
        await here.asks("POST", f"/cgi-bin/message/custom/send?access_token={await _token(here)}", data="{")
    )[1]["errcode"] == 47001
    assert await here.call(lambda client: client.message.send_card(WANG, "card")) == 40008
    assert isinstance(await here.call(text("一" * 682 + "ab")), dict)  # 2,048 bytes


async def _token(here: Here) -> str:
    return str((await here.stable())["access_token"])


async def test_what_is_refused_is_not_counted(here: Here) -> None:
    await here.double.says(WANG, "在")
    for _ in range(6):
        assert await here.call(text("")) == 44004
    assert isinstance(await here.call(text("好")), dict)


async def test_news_and_choices(here: Here) -> None:
    await here.double.says(WANG, "在")
    article = {"title": "办好了", "description": "请看", "url": "http://x/1", "image": ""}
    await here.call(lambda client: client.message.send_articles(WANG, [article]))
    assert await here.call(lambda client: client.message.send_articles(WANG, [article] * 2)) == 45008
    choices = {
        "head_content": "好些了吗",
        "list": [{"id": "1", "content": "好些了"}, {"id": "2", "content": "没有"}],
    }
    body = {"touser": WANG, "msgtype": "msgmenu", "msgmenu": choices}
    await here.call(lambda client: client.post("message/custom/send", data=body))
    news, menu = here.double.villager(WANG).reached
    assert (news.kind, news.text, news.link) == ("news", "办好了\n请看", "http://x/1")
    assert menu.text == "好些了吗\n好些了\n没有"


async def test_typing_is_shown_to_who_has_just_written(here: Here) -> None:
    def typing(client: WeChatClient) -> Any:
        return client.post("message/custom/typing", data={"touser": WANG, "command": "Typing"})

    await here.double.follows(WANG)
    assert await here.call(typing) == 45080
    await here.double.says(WANG, "在")
    assert (await here.call(typing))["errcode"] == 0
    here.now += 31
    assert await here.call(typing) == 45080


# -- media ----------------------------------------------------------------------------------------------------


async def _up(here: Here, kind: str, data: bytes) -> Any:
    return await here.call(
        lambda client: client.media.upload(kind, ("it.bin", io.BytesIO(data), "audio/mpeg"))
    )


@pytest.mark.parametrize("container", ["amr", "mp3"])
async def test_a_voice_goes_up_and_reaches_them(here: Here, container: str) -> None:
    data = sound(1.0, container)
    media_id = (await _up(here, "voice", data))["media_id"]
    await here.double.says(WANG, "在")
    await here.call(lambda client: client.message.send_voice(WANG, media_id))
    (voice,) = here.double.villager(WANG).reached
    assert (voice.kind, voice.media) == ("voice", data)


@pytest.mark.parametrize(("seconds", "code"), [(59.9, None), (61.0, 45007)])
async def test_a_voice_is_no_longer_than_a_minute(here: Here, seconds: float, code: int | None) -> None:
    answer = await _up(here, "voice", silence(seconds))
    assert answer == code if code else "media_id" in answer


async def test_what_does_not_go_up(here: Here) -> None:
    assert await _up(here, "voice", b"RIFF....WAVE") == 40005
    assert await _up(here, "voice", b"#!AMR\n" + b"\x3c" * (2 * 1024 * 1024)) == 45001
    assert await _up(here, "voice", b"") == 44001
    assert await _up(here, "hologram", b"x") == 40004
    assert await _up(here, "image", b"no picture") == 40005
    assert "media_id" in await _up(here, "image", b"\x89PNG....")
    assert await here.call(lambda client: client.post("media/upload", params={"type": "voice"})) == 41005


async def test_media_live_three_days(here: Here) -> None:
    await here.double.speaks(WANG, b"#!AMR\nsound", sound_16k=b"better")
    heard = here.ear.heard[0]
    download = await here.call(lambda client: client.media.download(heard.media_id))
    assert isinstance(download, requests.Response) and download.content == b"#!AMR\nsound"
    assert download.headers["Content-Disposition"].endswith('.amr"')
    better = await here.call(lambda client: client.media.download(heard._data["MediaId16K"]))
    assert better.content == b"better"
    token = await _token(here)
    status, speex = await here.asks(
        "GET", f"/cgi-bin/media/get/jssdk?access_token={token}&media_id={heard.media_id}"
    )
    assert status == 200 and speex == "#!AMR\nsound"
    here.now += 3 * DAY
    assert await here.call(lambda client: client.media.download(heard.media_id)) == 40007
    assert await here.call(lambda client: client.message.send_voice(WANG, heard.media_id)) == 40007


# -- menu, codes, people --------------------------------------------------------------------------------------


def button(name: str = "找社工", **more: Any) -> dict[str, Any]:
    return {"type": "click", "name": name, "key": "human", **more}


@pytest.mark.parametrize(
    ("buttons", "code"),
    [
        ([], 40016),
        ([button()] * 4, 40016),
        ([button("我的事办得怎样")], 40018),
        ([button("")], 40018),
        ([button(type="dance")], 40017),
        ([button(key="")], 40019),
        ([button(key="k" * 129)], 40019),
        ([{"type": "view", "name": "看", "url": "http://x/" + "u" * 1024}], 40020),
        ([{"type": "view", "name": "看", "url": "x"}], 40055),
        ([{"name": "更多", "sub_button": [button()] * 6}], 40023),
        ([{"name": "更多", "sub_button": [button("一" * 21)]}], 40025),
        ([{"name": "更多", "sub_button": [button(type="")]}], 40024),
        ([{"name": "更多", "sub_button": [button(key="")]}], 40026),
        ([{"name": "更多", "sub_button": [{"type": "view", "name": "看", "url": ""}]}], 40027),
    ],
)
async def test_menus_that_are_refused(here: Here, buttons: list[Any], code: int) -> None:
    assert await here.call(lambda client: client.menu.create({"button": buttons})) == code


async def test_a_menu_is_published_shown_and_taken_away(here: Here) -> None:
    assert await here.call(lambda client: client.get("menu/get")) == 46003
    more = {"name": "更多", "sub_button": [button("我的事办得怎样", key="status")]}
    await here.call(lambda client: client.menu.create({"button": [button(), more]}))
    shown = await here.call(lambda client: client.menu.get())
    assert [one["name"] for one in shown["menu"]["button"]] == ["找社工", "更多"]
    assert shown["menu"]["button"][0]["sub_button"] == []
    current = await here.call(lambda client: client.menu.get_menu_info())
    assert current["selfmenu_info"]["button"][1]["sub_button"]["list"][0]["key"] == "status"
    await here.call(lambda client: client.menu.delete())
    assert await here.call(lambda client: client.get("menu/get")) == 46003


async def test_a_code_for_a_station_and_who_scanned_it(here: Here) -> None:
    scene = {"action_name": "QR_LIMIT_STR_SCENE", "action_info": {"scene": {"scene_str": "qingshi"}}}
    made = await here.call(lambda client: client.qrcode.create(scene))
    assert made["ticket"] and "expire_seconds" not in made
    assert (
        await here.call(lambda client: client.qrcode.create({**scene, "action_info": {"scene": {}}})) == 40053
    )
    await here.double.follows(WANG, "qingshi")
    told = here.ear.heard[0]
    assert (told.event, told.scene_id) == ("subscribe_scan", "qingshi")
    user = await here.call(lambda client: client.user.get(WANG))
    assert (user["subscribe"], user["qr_scene_str"]) == (1, "qingshi")
    await here.double.unfollows(WANG)
    assert await here.call(lambda client: client.user.get(WANG)) == {"subscribe": 0, "openid": WANG}


# -- templates and subscriptions ------------------------------------------------------------------------------


def subscription(to: str = WANG, value: str = "您的事有回音了") -> Callable[[WeChatClient], Any]:
    body = {"touser": to, "template_id": "t", "page": "http://x", "data": {"thing1": {"value": value}}}
    return lambda client: client.post("message/subscribe/bizsend", data=body)


async def test_a_subscription_message_reaches_who_has_agreed_once(here: Here) -> None:
    villager = here.double.villager(WANG)
    assert await here.call(subscription()) == 43101
    villager.subscribed = 1
    assert await here.call(subscription(value="一" * 21)) == 47003
    assert (await here.call(subscription()))["errcode"] == 0
    assert await here.call(subscription()) == 43101
    assert [(one.kind, one.text, one.link) for one in villager.reached] == [
        ("subscription", "您的事有回音了", "http://x")
    ]
    await here.double.until(lambda: here.double.pushing.tries)
    assert here.ear.heard[0]._data["SubscribeMsgSentEvent"]["List"]["ErrorStatus"] == "success"


async def test_a_template_message_and_its_result(here: Here) -> None:
    here.double.rules.templates = {"t"}
    here.double.villager(WANG)
    data = {"first": {"value": "办好了"}}
    sent = await here.call(lambda client: client.message.send_template(WANG, "t", data))
    assert await here.call(lambda client: client.message.send_template(WANG, "other", data)) == 40037
    await here.double.until(lambda: here.double.pushing.tries)
    told = here.ear.heard[0]
    assert (told.event, told.status, int(told._data["MsgID"])) == (
        "templatesendjobfinish", "success", sent["msgid"],
    )  # fmt: skip
    here.double.villager(WANG).follows = False
    assert await here.call(lambda client: client.message.send_template(WANG, "t", data)) == 43004


# -- what goes wrong ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "seen"),
    [("500", "HTTPError"), ("garbage", "html"), ("drop", "ConnectionError"), ("lost", "ConnectionError"), (45009, 45009), (-1, -1)],
)  # fmt: skip
async def test_the_next_call_ends_as_it_was_set(here: Here, fault: int | str, seen: int | str) -> None:
    await here.double.says(WANG, "在")
    here.double.rules.next["message/custom/send"] = [fault]

    def ends(client: WeChatClient) -> Any:
        try:
            answer = client.message.send_text(WANG, "好")
        except requests.RequestException as error:
            return type(error).__name__
        return "html" if isinstance(answer, requests.Response) else answer

    ended = await here.call(ends)
    assert (ended if ended is not None else "HTTPError") == seen
    assert len(here.double.villager(WANG).reached) == (1 if fault == "lost" else 0)
    assert isinstance(await here.call(text("好")), dict)
    assert [name for name, _ in here.double.api.calls] == ["message/custom/send"] * 2


async def test_shares_of_faults_are_drawn_alike_each_time(here: Here) -> None:
    here.double.rules.errors, here.double.rules.broken = 0.2, 0.2
    for _ in range(40):
        await here.asks("GET", f"/cgi-bin/getcallbackip?access_token={await _token_past(here)}")
    ends = [end for name, end in here.double.api.calls if name == "getcallbackip"]
    assert {0, 500, "garbage"} == {*ends} and 4 < ends.count(500) < 14


async def _token_past(here: Here) -> str:
    return str(here.double.api.tokens.stable(force=False)["access_token"])


async def test_a_call_that_hangs_ends_with_the_callers_patience(here: Here) -> None:
    here.double.rules.next["menu/get"] = ["slow"]
    with pytest.raises(requests.Timeout):
        token = await _token_past(here)
        url = f"{here.double.url}/cgi-bin/menu/get?access_token={token}"
        await asyncio.to_thread(requests.get, url, timeout=0.05)


async def test_too_often_in_a_day_and_the_count_begun_anew(here: Here) -> None:
    here.double.rules.limits["getcallbackip"] = 1
    assert (await here.call(lambda client: client.misc.get_wechat_ips())) == ["127.0.0.1"]
    assert await here.call(lambda client: client.misc.get_wechat_ips()) == 45009
    cleared = {"appid": here.double.rules.app_id}
    assert (await here.call(lambda client: client.post("clear_quota", data=cleared)))["errcode"] == 0
    assert await here.call(lambda client: client.misc.get_wechat_ips()) == ["127.0.0.1"]
    here.now += DAY
    assert await here.call(lambda client: client.misc.get_wechat_ips()) == ["127.0.0.1"]


# -- what is pushed -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["plain", "compatible", "safe"])
async def test_a_message_in_each_mode_and_its_answer(here: Here, mode: str) -> None:
    here.double.rules.mode = mode

    def answer(message: Any) -> str:
        reply = create_reply(f"收到{message.content}", message).render()
        return (
            str(here.ear.crypto.encrypt_message(reply, "n", "1800000000")) if mode == "safe" else str(reply)
        )

    here.ear.answer = answer
    await here.double.says(WANG, "水管坏了")
    assert [(one.how, one.text) for one in here.double.villager(WANG).reached] == [
        ("passive", "收到水管坏了")
    ]
    assert ("水管坏了" in here.ear.bodies[0]) == (mode != "safe")
    assert ("Encrypt" in here.ear.bodies[0]) == ("msg_signature" in here.ear.queries[0]) == (mode != "plain")


async def test_the_address_is_verified(here: Here) -> None:
    assert await here.double.pushing.verify() and await here.double.corp.verify()
    here.double.rules.callback += "/nowhere"
    assert not await here.double.pushing.verify()


@pytest.mark.parametrize("kind", [*MESSAGES, "hologram"])
async def test_every_kind_of_message_can_be_read(here: Here, kind: str) -> None:
    await here.double.sends(WANG, kind)
    (heard,) = here.ear.heard
    assert heard.source == WANG and heard.id
    assert heard.type == ("unknown" if kind in ("hologram", "file") else kind)


@pytest.mark.parametrize("name", [*EVENTS, "nonsense"])
async def test_every_event_can_be_read(here: Here, name: str) -> None:
    await here.double.event(WANG, name)
    assert here.ear.heard[0]._data["Event"] == name


@pytest.mark.parametrize("recognition", [None, "", "水管坏了"])
async def test_a_voice_message_with_and_without_recognition(here: Here, recognition: str | None) -> None:
    await here.double.speaks(WANG, b"#!AMR\n", "speex", recognition)
    heard = here.ear.heard[0]
    assert heard.format == "speex" and ("Recognition" in heard._data) == (recognition is not None)
    assert (heard.recognition or "") == (recognition or "")


async def test_without_an_answer_the_same_message_comes_three_times(here: Here) -> None:
    here.double.rules.patience_s = 0.05
    here.ear.statuses = ["never"] * 3
    await here.double.says(WANG, "在吗")
    assert [outcome for _, outcome in here.double.pushing.tries] == ["slow"] * 3
    assert len({name for name, _ in here.double.pushing.tries}) == 1
    assert len({query["nonce"] for query in here.ear.queries}) == 3  # signed anew each time
    assert [one.text for one in here.double.villager(WANG).reached] == [OUT_OF_ORDER]


async def test_an_event_that_comes_again_is_the_same_by_sender_and_time(here: Here) -> None:
    here.ear.statuses = [500, 200]
    await here.double.taps(WANG, "human")
    assert [outcome for _, outcome in here.double.pushing.tries] == [500, 200]
    assert len({(one.source, one.time, one.id) for one in here.ear.heard}) == 1
    assert here.double.villager(WANG).reached == []


async def test_duplicates_are_the_same_message(here: Here) -> None:
    here.double.rules.duplicates = 1.0
    await here.double.says(WANG, "在吗")
    assert len(here.ear.heard) == 2 and len({one.id for one in here.ear.heard}) == 1


@pytest.mark.parametrize(
    "answer",
    [
        lambda ear, message: "ok",
        lambda ear, message: create_reply("没有加密", message).render(),
        lambda ear, message: ear.sealed(TextReply(content="", message=message)),
        lambda ear, message: ear.sealed(TextReply(content="一" * 683, message=message)),
        lambda ear, message: ear.sealed(TextReply(content="好", source=WANG, target="gh_xiangyin")),
        lambda ear, message: ear.sealed(VoiceReply(media_id="nothing", message=message)),
        lambda ear, message: ear.sealed(create_reply("好", message)).replace("<MsgSignature><![CDATA[", "<MsgSignature><![CDATA[0"),
    ],
)  # fmt: skip
async def test_an_answer_that_can_not_be_shown_is_a_fault_on_the_screen(
    here: Here, answer: Callable[[Any, Any], str]
) -> None:
    class Sealing(Ear):
        def sealed(self, reply: Any) -> str:
            return str(self.crypto.encrypt_message(reply.render(), "n", "1800000000"))

    ear = Sealing(here.double)
    here.ear.answer = lambda message: answer(ear, message)
    await here.double.says(WANG, "在吗")
    assert [one.text for one in here.double.villager(WANG).reached] == [OUT_OF_ORDER]
    assert len(here.double.pushing.tries) == 1


async def test_a_voice_as_the_answer(here: Here) -> None:
    media_id = (await _up(here, "voice", sound(0.5)))["media_id"]
    here.double.rules.mode = "plain"
    here.ear.answer = lambda message: str(VoiceReply(media_id=media_id, message=message).render())
    await here.double.says(WANG, "在吗")
    (voice,) = here.double.villager(WANG).reached
    assert (voice.how, voice.kind, voice.media[:5]) == ("passive", "voice", b"#!AMR")


# -- web authorisation ----------------------------------------------------------------------------------------


def _authorise(here: Here, **change: str) -> dict[str, Any]:
    asked = {
        "appid": here.double.rules.app_id, "redirect_uri": "http://xy.example.cn/back", "response_type": "code",
        "scope": "snsapi_base", "state": "s",
    }  # fmt: skip
    return {"params": {**asked, **change}, "cookies": {"openid": WANG}}


async def _code(here: Here, **more: Any) -> str:
    async with ClientSession(cookies=more.pop("cookies", None)) as http:
        place = f"{here.double.url}/connect/oauth2/authorize"
        async with http.get(place, allow_redirects=False, **more) as answer:
            assert answer.status == 302
            return str(answer.headers["Location"].partition("code=")[2].partition("&")[0])


async def test_a_page_learns_who_opened_it_once(here: Here) -> None:
    await here.double.opens(WANG, "http://xy.example.cn/page")

    class OAuth(WeChatOAuth):  # type: ignore[misc]
        API_BASE_URL = f"{here.double.url}/"

    oauth = OAuth(here.double.rules.app_id, here.double.rules.secret, "http://xy.example.cn/back")
    code = await _code(here, **_authorise(here))
    found = await asyncio.to_thread(oauth.fetch_access_token, code)
    assert found["openid"] == WANG
    exchange = {"appid": oauth.app_id, "secret": oauth.secret, "grant_type": "authorization_code"}
    place = "/sns/oauth2/access_token"
    assert (await here.asks("GET", place, params={**exchange, "code": code}))[1]["errcode"] == 40163
    assert (await here.asks("GET", place, params={**exchange, "code": "x"}))[1]["errcode"] == 40029
    assert (await here.asks("GET", place, params={**exchange, "secret": "x", "code": code}))[1][
        "errcode"
    ] == 40125
    late = await _code(here, **_authorise(here))
    here.now += 301
    assert (await here.asks("GET", place, params={**exchange, "code": late}))[1]["errcode"] == 42003
    oauth._http.close()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"redirect_uri": "http://evil.example.com/xy.example.cn"}, "10003"),
        ({"redirect_uri": "javascript:1"}, "10003"),
        ({"scope": "all"}, "10005"),
        ({"response_type": "token"}, "10004"),
        ({"appid": "wx"}, "10013"),
    ],
)
async def test_where_a_page_does_not_lead(here: Here, change: dict[str, str], code: str) -> None:
    here.double.rules.page_host = "xy.example.cn"
    here.double.villager(WANG)
    asked = _authorise(here, **change)
    status, said = await here.asks("GET", "/connect/oauth2/authorize", params=asked["params"])
    assert status == 400 and code in said


# -- WeCom ----------------------------------------------------------------------------------------------------


def card(task: str = "7-abc", **change: Any) -> dict[str, Any]:
    inner = {
        "card_type": "button_interaction", "main_title": {"title": "立即 · 青石村", "desc": "号码 7088"}, "task_id": task,
        "button_list": [{"text": "我看到了", "key": "seen"}, {"text": "打开", "type": 1, "url": "http://x/1"}], **change,
    }  # fmt: skip
    return {"touser": "lin", "agentid": 1000002, "msgtype": "template_card", "template_card": inner}


def sends(body: dict[str, Any]) -> Callable[[CorpClient], Any]:
    return lambda client: client.post("message/send", data=body)


async def test_a_worker_is_sent_a_text_and_a_card_with_a_link(here: Here) -> None:
    here.double.rules.corp_members = {"Lin", "zhou"}
    await here.call_corp(lambda client: client.message.send_text(1000002, "lin", content="有新的事"))
    textcard = {"title": "立即", "description": "号码 7088", "url": "http://x/1", "btntxt": "打开"}
    both = {"touser": "zhou|nobody", "agentid": 1, "msgtype": "textcard", "textcard": textcard}
    assert (await here.call_corp(sends(both)))["invaliduser"] == "nobody"
    assert [(one.worker, one.kind, one.link) for one in here.double.corp.cards] == [
        ("lin", "text", ""), ("zhou", "textcard", "http://x/1"),
    ]  # fmt: skip
    assert "有新的事" in here.double.corp.of("LIN")[0].text


async def test_what_wecom_refuses(here: Here) -> None:
    rules = here.double.rules
    rules.corp_members = {"lin"}
    assert await here.call_corp(sends({**card(), "touser": "nobody"})) == 81013
    assert await here.call_corp(sends(card("has space"))) == 40058
    assert await here.call_corp(sends(card(button_list=[]))) == 40058
    assert await here.call_corp(sends({"touser": "lin", "msgtype": "dance", "dance": {}})) == 40008
    rules.limits["wecom/message/send"] = 0
    assert await here.call_corp(sends(card())) == 45009
    rules.limits.clear()
    rules.corp_agent_id = 7
    assert await here.call_corp(sends(card())) == 301002
    rules.corp_listed = False
    assert await here.call_corp(sends(card())) == 60020
    rules.corp_secret = "another"
    assert (await here.asks("GET", "/cgi-bin/gettoken?corpid=ww-xiangyin&corpsecret=x"))[1][
        "errcode"
    ] == 40001
    assert here.double.corp.cards == []


async def test_wecoms_token_ends(here: Here) -> None:
    asked = {"corpid": here.double.rules.corp_id, "corpsecret": here.double.rules.corp_secret}
    given = [(await here.asks("GET", "/wecom-api/cgi-bin/gettoken", params=asked))[1] for _ in range(2)]
    assert given[0] == given[1]
    here.now += 7200
    place = f"/wecom-api/cgi-bin/message/send?access_token={given[0]['access_token']}"
    assert (await here.asks("POST", place, json=card()))[1]["errcode"] == 42001
    assert (await here.asks("POST", f"{place}x", json=card()))[1]["errcode"] == 40014
    assert ("wecom/message/send", 42001) in here.double.corp_api.calls


async def test_a_tap_is_told_and_its_answer_changes_the_card(here: Here) -> None:
    await here.call_corp(sends(card()))
    (shown,) = here.double.corp.cards
    here.ear.answer = lambda _: str(
        here.ear.corp_crypto.encrypt_message(
            "<xml><ToUserName>lin</ToUserName><FromUserName>ww-xiangyin</FromUserName><CreateTime>1</CreateTime>"
            "<MsgType>update_button</MsgType><Button><ReplaceName>小林已看到</ReplaceName></Button></xml>",
            "n", "1800000000",
        )
    )  # fmt: skip
    assert await here.double.corp.tap(shown) == 200
    assert shown.changed_to == "小林已看到"
    for part in (
        "template_card_event",
        "<TaskId>7-abc</TaskId>",
        "<EventKey>seen</EventKey>",
        "ResponseCode",
    ):
        assert part in here.ear.taps[0]


async def test_a_card_is_changed_once_by_its_code(here: Here) -> None:
    sent = await here.call_corp(sends(card()))
    (shown,) = here.double.corp.cards
    for code in (sent["response_code"], ""):
        if not code:
            await here.double.corp.tap(shown)
            code = shown.code
        body = {"userids": ["lin"], "agentid": 1, "response_code": code, "button": {"replace_name": "已看到"}}
        change = lambda client, body=body: client.post("message/update_template_card", data=body)  # noqa: E731
        assert (await here.call_corp(change))["errcode"] == 0
        assert shown.changed_to == "已看到"
        assert await here.call_corp(change) == 42014


async def test_a_page_learns_which_worker_opened_it(here: Here) -> None:
    asked = _authorise(here, appid=here.double.rules.corp_id)
    code = await _code(here, params=asked["params"], cookies={"worker": "lin"})
    who = lambda client: client.get("auth/getuserinfo", params={"code": code})  # noqa: E731
    assert (await here.call_corp(who))["userid"] == "lin"
    assert await here.call_corp(who) == 40163


# -- from another process -------------------------------------------------------------------------------------


async def test_it_is_driven_from_outside(here: Here) -> None:
    here.double.rules.mode = "plain"
    here.ear.answer = lambda message: str(create_reply("收到", message).render())
    for path, body in (
        ("does", {"openid": WANG, "what": "says", "text": "在吗", "wait": True}),
        (
            "sound",
            {
                "openid": WANG,
                "sound": base64.b64encode(b"#!AMR\n").decode(),
                "form": "speex",
                "recognition": "",
            },
        ),
        ("event", {"openid": WANG, "name": "VIEW", "fields": {"EventKey": "http://x"}}),
        ("agree", {"openid": WANG, "times": 2}),
        ("rules", {"errors": 0.5, "templates": ["t"], "limits": {"menu/get": 3}}),
        ("next", {"menu/get": ["500"]}),
    ):
        status, said = await here.asks("POST", f"/_double/{path}", json=body)
        assert (status, said) == (200, {"ok": True})
    assert [one.type for one in here.ear.heard] == ["text", "voice", "event"]
    rules = here.double.rules
    assert (rules.errors, rules.templates, rules.next["menu/get"]) == (0.5, {"t"}, ["500"])
    assert here.double.villager(WANG).subscribed == 2
    _, reached = await here.asks("GET", "/_double/reached", params={"openid": WANG, "after": "1"})
    assert [one["text"] for one in reached] == ["收到", "收到"]
    assert (await here.asks("POST", "/_double/verify"))[1] == {"wechat": True, "wecom": True}
    _, calls = await here.asks("GET", "/_double/calls")
    assert [outcome for _, outcome in calls["tries"]] == [200] * 3


async def test_what_is_set_from_outside_must_fit(here: Here) -> None:
    for wrong in (
        {"errors": "many"},
        {"verified": 1},
        {"clock": 1},
        {"secret": "x"},
        {"nonsense": 1},
        {"templates": "t"},
    ):
        status, _ = await here.asks("POST", "/_double/rules", json=wrong)
        assert status == 400
    _, shown = await here.asks("GET", "/_double/rules")
    assert shown["mode"] == "safe" and not {"secret", "token", "aes_key", "corp_secret"} & {*shown}


async def test_one_waits_from_outside_for_what_reaches_somebody(here: Here) -> None:
    waiting = asyncio.create_task(
        here.asks("GET", "/_double/reached", params={"openid": WANG, "within_s": "10"})
    )
    await here.double.says(WANG, "在")
    assert isinstance(await here.call(text("我在")), dict)
    assert [one["text"] for one in (await waiting)[1]] == ["我在"]
    await here.call_corp(sends(card()))
    _, cards = await here.asks("GET", "/_double/cards", params={"worker": "LIN", "within_s": "5"})
    assert (await here.asks("POST", "/_double/tap", json={"n": cards[0]["n"]}))[1] == {"status": 200}


async def test_its_clock_is_put_forward(here: Here) -> None:
    await here.double.says(WANG, "在")
    await here.asks("POST", "/_double/forward", json={"seconds": 2 * DAY})
    assert await here.call(text("在")) == 45015


# -- what the page gets ---------------------------------------------------------------------------------------


async def test_a_chat_is_drawn_in_its_order(here: Here) -> None:
    here.double.rules.mode = "plain"
    here.ear.answer = lambda message: (
        "success" if message.type == "event" else str(create_reply("收到", message).render())
    )
    await here.double.follows(WANG, "qingshi")
    await here.double.says(WANG, "在吗")
    await here.call(text("我在"))
    await here.call_corp(sends(card()))
    _, state = await here.asks("GET", "/_double/state", params={"openid": WANG})
    (villager,) = state["villagers"]
    assert [(one["who"], one["kind"], one["text"]) for one in villager["chat"]] == [
        ("note", "subscribe", "qrscene_qingshi"), ("mine", "text", "在吗"), ("theirs", "text", "收到"), ("theirs", "text", "我在"),
    ]  # fmt: skip
    assert (state["cards"][0]["words"], state["cards"][0]["task"]) == ("立即 · 青石村 号码 7088", "7-abc")


async def test_what_a_browser_records_goes_out_as_amr_and_comes_back_as_it_plays(here: Here) -> None:
    recording = {"openid": WANG, "what": "speaks", "sound": base64.b64encode(sound(1.0, "mp3")).decode()}
    assert (await here.asks("POST", "/_double/does", json={**recording, "wait": True}))[0] == 200
    sent = await here.call(lambda client: client.media.download(here.ear.heard[0].media_id))
    assert sent.content.startswith(b"#!AMR\n")
    async with ClientSession() as http:
        place = f"{here.double.url}/_double/media?openid={WANG}&of=said&n="
        async with http.get(f"{place}0") as played_back:
            assert played_back.content_type == "audio/wav" and (await played_back.read())[:4] == b"RIFF"
        async with http.get(f"{place}7") as nothing:
            assert nothing.status == 404
    nonsense = {**recording, "sound": base64.b64encode(b"no sound").decode(), "wait": True}
    assert (await here.asks("POST", "/_double/does", json=nonsense))[0] == 200
    assert len(here.ear.heard) == 1


@pytest.mark.parametrize("name", ["", "chat.js", "chat.css"])
async def test_the_page_needs_nothing_from_elsewhere(here: Here, name: str) -> None:
    status, said = await here.asks("GET", f"/{name}")
    assert status == 200 and "http://" not in said and "https://" not in said


async def test_it_runs_as_a_process_until_it_is_told_to_stop() -> None:
    program = (
        "import asyncio; from connectors.wechat.double.run import simulate;"
        "asyncio.run(simulate(0, 'http://127.0.0.1:9', lambda line: print(line, flush=True)))"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    first = (await process.stdout.readline()).decode()
    address = first.partition("：")[2].split()[0]
    async with ClientSession() as http, http.get(f"{address}/_double/rules") as answer:
        assert (await answer.json())["callback"] == "http://127.0.0.1:9/wechat"
    process.terminate()
    rest = (await process.communicate())[0].decode()
    assert process.returncode == 0 and f"XIANGYIN_WECHAT_API={address}" in rest
