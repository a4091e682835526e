"""The large-text page in WeChat: one person by page and chat, and nothing in an address that could be forwarded."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from aiohttp import web
from cast import BEATEN, LIN
from county import Answer, Browser
from strict_double import answer, effect
from wechat_helpers import WeChat

from connectors.root import Service
from connectors.station import StationPage
from connectors.web import add_headers, plain_errors
from connectors.wechat.page import WeChatPage
from handoff.model.nouns import Opening
from handoff.model.words import Channel

pytestmark = pytest.mark.asyncio(loop_scope="session")
STORES = ("sqlite",)


@asynccontextmanager
async def _phone(wx: WeChat, openid: str = "") -> AsyncIterator[Browser]:
    """A phone with WeChat's browser on it; without an openid, a browser outside WeChat."""
    here = wx.county
    app = web.Application(middlewares=[plain_errors])
    app.on_response_prepare.append(add_headers)
    service = Service(here.settings, here.domain, wx.voices, here.client, None)
    WeChatPage(service, here.clock).add_to(app)
    StationPage(service).add_to(app)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    jar = aiohttp.CookieJar(unsafe=True)
    if openid:
        wx.far.villager(openid)
        jar.update_cookies({"openid": openid})
    try:
        async with aiohttp.ClientSession(cookie_jar=jar) as http:
            yield Browser(http, f"http://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()


async def _begin(phone: Browser) -> Answer:
    return await phone.post("/wechat/page/conversation", json={})


async def _order(wx: WeChat, openid: str) -> str:
    wx.county.rasa.script["买盐"] = answer("记下了。", effect("open_case", need="goods"))
    token = await wx.county.domain.turns.of_address(Opening(Channel.WECHAT, address=openid))
    await wx.county.say(token, "买盐")
    return token


async def test_the_menu_leads_to_the_page_by_way_of_the_platform(wx: WeChat) -> None:
    async with _phone(wx, "o-page-1") as phone:
        first = await phone.get("/wechat/page", allow_redirects=False)
        asked = parse_qs(urlsplit(first.headers["Location"]).query)
        assert asked["scope"] == ["snsapi_base"] and asked["response_type"] == ["code"]
        assert asked["redirect_uri"] == [f"{phone.base}/wechat/page/back"]
        assert first.headers["Location"].endswith("#wechat_redirect")
        cookie = first.headers["Set-Cookie"]
        assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Max-Age=600" in cookie
        page = await phone.get("/wechat/page")
        assert (page.status, page.url) == (200, "/wechat/page")
        assert 'data-mode="personal"' in page.text and "o-page-1" not in page.text


async def test_page_and_chat_are_one_conversation_and_the_last_matter_is_on_top(wx: WeChat) -> None:
    token = await _order(wx, "o-page-2")
    async with _phone(wx, "o-page-2") as phone:
        await phone.get("/wechat/page")
        begun = (await _begin(phone)).json
    number = (await wx.county.case(token)).number
    assert begun["conversation"] == token
    assert number in begun["matter"] and "代购" in begun["matter"] and "还在等社工" in begun["matter"]


async def test_violence_is_not_on_top(wx: WeChat) -> None:
    token = await wx.county.domain.turns.of_address(Opening(Channel.WECHAT, address="o-page-3"))
    await wx.county.say(token, BEATEN)
    async with _phone(wx, "o-page-3") as phone:
        await phone.get("/wechat/page")
        assert (await _begin(phone)).json["matter"] is None


async def test_replies_come_to_the_open_page(wx: WeChat) -> None:
    token = await _order(wx, "o-page-4")
    async with _phone(wx, "o-page-4") as phone:
        await phone.get("/wechat/page")
        mine = (await _begin(phone)).json["conversation"]
        async with phone.listen(f"/station/events?conversation={mine}") as heard:
            case = await wx.county.claimed(token, LIN)
            await wx.county.domain.casework.reply(case.id, wx.county.id_of(LIN), "盐明天送到。")
            words = ""
            while words != "盐明天送到。":
                name, data = await heard.get()
                words = data["text"] if name == "reply" else ""


async def test_a_forwarded_link_asks_who_it_is_anew(wx: WeChat) -> None:
    async with _phone(wx, "o-page-5") as hers, _phone(wx) as anothers:
        page = await hers.get("/wechat/page")
        again = await anothers.get(page.url, allow_redirects=False)
        assert again.status == 302 and "authorize" in again.headers["Location"]
        refused = await _begin(anothers)
        assert refused.status == 401 and "说话求助" in refused.json["say"]


async def test_the_session_ends_and_is_asked_for_anew(wx: WeChat) -> None:
    from datetime import timedelta

    async with _phone(wx, "o-page-6") as phone:
        await phone.get("/wechat/page")
        wx.county.clock.offset += timedelta(hours=13)
        assert (await phone.get("/wechat/page", allow_redirects=False)).status == 302


async def _sent_back(phone: Browser) -> tuple[str, str]:
    """The address to which the platform sends back, not followed yet; and its query."""
    first = await phone.get("/wechat/page", allow_redirects=False)
    async with phone.http.get(first.headers["Location"].split("#")[0], allow_redirects=False) as answered:
        back = urlsplit(answered.headers["Location"])
    return back.path, back.query


async def test_a_code_is_good_once(wx: WeChat) -> None:
    async with _phone(wx, "o-page-7") as phone:
        path, query = await _sent_back(phone)
        assert (await phone.get(f"{path}?{query}")).url == "/wechat/page"
        again = await phone.get(f"{path}?{query}")
        assert again.url == path and "重新打开" in again.text


async def test_a_code_used_elsewhere_tells_what_to_do(wx: WeChat) -> None:
    async with _phone(wx, "o-page-8") as phone:
        path, query = await _sent_back(phone)
        wx.far.api.codes[parse_qs(query)["code"][0]] = ""
        assert "重新打开" in (await phone.get(f"{path}?{query}")).text


@pytest.mark.parametrize("state", ["", "another", "叁"])
async def test_a_wrong_state_opens_nothing(wx: WeChat, state: str) -> None:
    async with _phone(wx, "o-page-9") as phone:
        path, query = await _sent_back(phone)
        code = parse_qs(query)["code"][0]
        assert "重新打开" in (await phone.get(path, params={"code": code, "state": state})).text
        assert (await _begin(phone)).status == 401


async def test_a_state_lasts_ten_minutes(wx: WeChat) -> None:
    from datetime import timedelta

    async with _phone(wx, "o-page-10") as phone:
        path, query = await _sent_back(phone)
        wx.county.clock.offset += timedelta(minutes=11)
        assert "重新打开" in (await phone.get(f"{path}?{query}")).text


async def test_who_refuses_is_told_of_the_chat(wx: WeChat) -> None:
    async with _phone(wx, "o-page-11") as phone:
        path, query = await _sent_back(phone)
        state = parse_qs(query)["state"][0]
        assert "没有点允许" in (await phone.get(path, params={"state": state})).text


@pytest.mark.parametrize("fault", ["500", "garbage", "-1"])
async def test_where_the_platform_is_down_it_is_said(wx: WeChat, fault: str) -> None:
    async with _phone(wx, "o-page-12") as phone:
        path, query = await _sent_back(phone)
        wx.far.rules.next["sns"].append(fault)
        told = await phone.get(f"{path}?{query}")
        assert told.status == 503 and "过一会儿" in told.text


async def test_cookies_of_ones_own_making_open_nothing(wx: WeChat) -> None:
    async with _phone(wx) as phone:
        phone.http.cookie_jar.update_cookies({"xy-wechat-page": "o-page-2"})
        assert (await _begin(phone)).status == 401
