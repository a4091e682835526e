"""Two processes receive what one platform pushes, with nothing in common but the database: each message is answered once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from itertools import cycle

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from cast import DARK, SALT
from county import pages, until
from sqlalchemy import select
from test_messages import all_told, talk_of
from wechat_helpers import WeChat

from connectors.voices import Voices
from connectors.wechat.account import Account
from handoff.store.database import Store
from handoff.store.tables import Arrival, Notice, Reply

pytestmark = pytest.mark.asyncio(loop_scope="session")
VILLAGERS = 8


@dataclass
class Both:
    """The two, and whoever stands before them and sends one request here, the next there."""

    wx: WeChat
    sent: list[str]
    """Which of the two each request went to."""


@pytest_asyncio.fixture(loop_scope="session")
async def both(wx: WeChat) -> AsyncIterator[Both]:
    """The process that the tests share, and another."""
    here = wx.county
    async with AsyncExitStack() as stack:
        store, voices = Store(here.domain.store.url), Voices(here.settings)
        stack.push_async_callback(store.close)
        # It makes its way the dispatch's own: afterwards that is the first's again.
        stack.callback(here.domain.dispatch.person_ways.update, dict(here.domain.dispatch.person_ways))
        account = Account(here.settings, voices, store, here.domain.dispatch, here.clock)
        stack.callback(account.close)
        inbox = account.inbox(here.elsewhere(store), here.domain.understander.screen)
        inbox.start()
        stack.push_async_callback(inbox.close)
        there = await stack.enter_async_context(pages(here, voices, inbox))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        bases, sent = cycle([wx.pages.base, there.base]), list[str]()

        async def pass_on(request: web.Request) -> web.Response:
            base = next(bases)
            sent.append(base)
            query, body = request.query_string, await request.read()
            async with http.post(f"{base}/wechat?{query}", data=body) as answer:
                return web.Response(status=answer.status, body=await answer.read())

        before = web.Application()
        before.router.add_post("/wechat", pass_on)
        runner = web.AppRunner(before, shutdown_timeout=0.2)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        usual, wx.far.rules.callback = (
            wx.far.rules.callback,
            f"http://127.0.0.1:{runner.addresses[0][1]}/wechat",
        )
        yield Both(wx, sent)
        wx.far.rules.callback = usual


def shown(wx: WeChat, openid: str) -> str:
    """All that the villager has on the screen."""
    return "\n".join(one.text for one in wx.far.villager(openid).reached)


async def test_a_duplicate_that_another_process_gets_is_answered_once(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    wx, openids = both.wx, [f"o-both-{n}" for n in range(VILLAGERS)]
    wx.far.rules.duplicates = 1.0
    # A machine that is busy with us must not look like one that has lost an answer.
    monkeypatch.setattr(wx.far.rules, "patience_s", 30.0)
    for words in (SALT, DARK):
        await asyncio.gather(*(wx.far.says(openid, words) for openid in openids))
    for openid in openids:
        token = (await talk_of(wx, openid)).token
        assert [turn.text for turn in await wx.county.turns(token)] == [SALT, DARK]
        assert len(await wx.county.cases(token)) == 1
        told = [reply.text for reply in await wx.county.replies(token)]
        assert len(told) == 2
        # What waits behind another goes along with it: two answers may come as one message.
        await wx.far.until(lambda openid=openid, told=told: shown(wx, openid) == "\n".join(told))
    assert len(set(both.sent)) == 2 and len(both.sent) >= 4 * VILLAGERS


async def test_messages_of_one_sender_keep_their_order_over_two_processes(both: Both) -> None:
    wx = both.wx
    said = [f"第{n}句" for n in range(6)]
    await wx.far.says("o-over-two", SALT)  # from here on there is a conversation
    for words in said:
        await wx.far.says("o-over-two", words)
    token = (await talk_of(wx, "o-over-two")).token
    assert [turn.text for turn in await wx.county.turns(token)] == [SALT, *said]
    told = "\n".join(reply.text for reply in await wx.county.replies(token))
    await wx.far.until(lambda: shown(wx, "o-over-two") == told)


@pytest.mark.parametrize("further", [False, True], ids=["one part", "a further part"])
async def test_what_was_offered_by_who_then_fell_down_is_sent_whole(wx: WeChat, further: bool) -> None:
    """On record as given before it is written: after a crash in between, and with no request to come, it would be lost."""
    openid = f"o-offered-{further}"
    await wx.far.says(openid, SALT)
    villager = wx.far.villager(openid)
    (first,) = villager.reached
    talk = await talk_of(wx, openid)
    await until(lambda: _given(wx, talk.address_id), within=10)  # on record after it has arrived
    async with wx.county.domain.store.write() as session:
        (arrival,) = await session.scalars(select(Arrival).where(Arrival.address_id == talk.address_id))
        assert arrival.outcome is not None
        arrival.outcome = {name: value for name, value in arrival.outcome.items() if name != "given"}
        if further:  # as where a sound was to follow
            mine = select(Notice).join(Reply, Reply.id == Notice.reply_id)
            (notice,) = await session.scalars(mine.where(Reply.conversation_id == talk.id))
            notice.state, notice.parts = "pending", 1
    wx.county.clock.offset += timedelta(seconds=25)  # the platform asks no more
    await wx.far.until(lambda: len(villager.reached) > 1)
    again = villager.reached[1]
    assert (again.how, again.text) == ("custom", first.text)
    await until(lambda: all_told(wx, talk.id), within=10)
    (arrival,) = await wx.county.rows(Arrival, Arrival.address_id == talk.address_id)
    assert arrival.outcome is not None and "asked" not in arrival.outcome
    assert len(villager.reached) == 2


async def _given(wx: WeChat, address_id: int | None) -> bool:
    (arrival,) = await wx.county.rows(Arrival, Arrival.address_id == address_id)
    return bool((arrival.outcome or {}).get("given"))
