"""What goes out later: voice, long texts, each error code with its outcome, the token, one at a time."""

import asyncio
import contextvars
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cast import DARK, LIN, SALT
from county import settings_for, until
from sqlalchemy import select
from test_messages import talk_of
from wechat_helpers import WeChat
from wechatpy import WeChatClient

from connectors.errors import ConnectorError
from connectors.wechat import way as way_module
from connectors.wechat.outcomes import OUTCOMES
from connectors.wechat.subscription import Subscription
from handoff.model.words import Stage
from handoff.service import dispatch as dispatch_module
from handoff.service.arriving import Arrived
from handoff.service.hub import of_conversation
from handoff.store.tables import CaseEvent, Notice, Reply, Task

pytestmark = pytest.mark.asyncio(loop_scope="session")
STORES = ("sqlite",)
LONG = "明天上午九点，村医到您家来。请把病历和医保卡准备好，放在桌子上。" * 70


async def case_of(wx: WeChat, openid: str) -> int:
    """A case of this villager's that Lin has claimed, all that is told of it arrived."""
    await wx.far.says(openid, DARK)
    case = await wx.county.claimed((await talk_of(wx, openid)).token, LIN)
    await wx.far.until(lambda: len(wx.far.villager(openid).reached) == 2)
    return case.id


async def say(wx: WeChat, case_id: int, words: str) -> str:
    return await wx.county.domain.casework.reply(case_id, wx.county.id_of(LIN), words)


async def attempts(wx: WeChat, reply: str) -> list[tuple[int, str, str | None]]:
    found = await wx.county.rows(Notice, Notice.reply_id == reply)
    return [(one.attempt, one.state, one.code) for one in found]


async def ended(wx: WeChat, reply: str) -> bool:
    return (await attempts(wx, reply))[-1][1] in ("delivered", "failed")


async def test_a_long_text_comes_in_pieces_in_order(wx: WeChat) -> None:
    case = await case_of(wx, "o-long")
    reply = await say(wx, case, LONG[:1900])
    await until(lambda: ended(wx, reply))
    pieces = [one.text for one in wx.far.villager("o-long").reached[2:]]
    assert len(pieces) == 3 and "".join(pieces) == LONG[:1900]


async def test_who_begins_anew_leaves_nothing_of_the_attempt_before_going_on(
    wx: WeChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, dispatch = await case_of(wx, "o-anew"), wx.county.domain.dispatch
    usual, first = dispatch.parts_arrived, list[int]()

    async def still_to_be_sent(_session: Any) -> bool:
        return True

    async def then_it_was_not_taken(arrived: list[Arrived]) -> None:
        await usual(arrived)
        if not first and wx.far.villager("o-anew").reached[-1].text in LONG:
            first.append(arrived[-1].notice_id)
            # As by the inbox: not within the engine's step that sends.
            anew = dispatch.send_after_all(arrived[-1].reply_id, still_to_be_sent)
            await asyncio.create_task(anew, context=contextvars.Context())

    monkeypatch.setattr(dispatch, "parts_arrived", then_it_was_not_taken)
    reply = await say(wx, case, LONG[:1900])
    await until(lambda: ended(wx, reply))
    pieces = [one.text for one in wx.far.villager("o-anew").reached[2:]]
    assert len(pieces) == 4 and "".join(pieces[1:]) == LONG[:1900] and pieces[0] == pieces[1]
    assert [state for _, state, _ in await attempts(wx, reply)] == ["retried", "delivered"]


async def test_after_a_fault_only_the_rest_of_a_long_text_is_sent(wx: WeChat) -> None:
    case = await case_of(wx, "o-rest")
    wx.far.rules.next["message/custom/send"] = ["ok", "500"]
    reply = await say(wx, case, LONG[:1900])
    await until(lambda: ended(wx, reply))
    assert "".join(one.text for one in wx.far.villager("o-rest").reached[2:]) == LONG[:1900]


# From the table of shared/wechat.md and the platform's own list: what each code leads to.
FALLS_BACK = [45015, 45047, 48001, 43004, 40003, 40164, 45002, 45007, 47001, 50002]
IS_TRIED_AGAIN = [-1, 45009, 45011, "500", "garbage", 40007, 99999]


@pytest.mark.parametrize("code", FALLS_BACK)
async def test_another_way_is_taken_at_once_after(wx: WeChat, code: int) -> None:
    case = await case_of(wx, f"o-back-{code}")
    wx.far.rules.next["message/custom/send"] = [code]
    reply = await say(wx, case, "在家吗？")
    await until(lambda: ended(wx, reply))
    assert await attempts(wx, reply) == [(1, "failed", OUTCOMES[code].code)]
    async with wx.county.domain.store.read() as session:
        found = select(CaseEvent).where(CaseEvent.case_id == case, CaseEvent.kind == "unreached")
        (event,) = [*await session.scalars(found)]
    assert event.content == {"code": OUTCOMES[code].code, "instead": "visit"}


@pytest.mark.parametrize("code", [40013, 40125, 40164])
async def test_where_no_token_is_given_another_way_is_taken_at_once(wx: WeChat, code: int) -> None:
    case = await case_of(wx, f"o-no-token-{code}")
    wx.far.api.tokens.invalidate()
    wx.far.rules.next["token"] = [code]
    reply = await say(wx, case, "在家吗？")
    await until(lambda: ended(wx, reply))
    assert await attempts(wx, reply) == [(1, "failed", OUTCOMES[code].code)]


@pytest.mark.parametrize("code", [-1, 45009, 45011, "500", "garbage", "drop"])
async def test_a_token_that_is_not_to_be_had_now_is_asked_for_again(wx: WeChat, code: int | str) -> None:
    case = await case_of(wx, f"o-token-later-{code}")
    wx.far.api.tokens.invalidate()
    wx.far.rules.next["token"] = [code]
    reply = await say(wx, case, "在家吗？")
    await until(lambda: ended(wx, reply))
    assert wx.far.villager(f"o-token-later-{code}").reached[-1].text == "在家吗？"
    assert [state for _, state, _ in await attempts(wx, reply)] == ["retried", "delivered"]


async def test_a_token_that_only_force_replaces_is_forced_once(wx: WeChat) -> None:
    """The platform still gives the one that it has just refused: asked for by force, which it allows rarely."""
    case = await case_of(wx, "o-forced")
    wx.far.rules.next["message/custom/send"] = [40001]
    stale = str(wx.far.api.tokens.stable(force=False)["access_token"])
    reply = await say(wx, case, "在家吗？")
    await until(lambda: ended(wx, reply))
    assert await attempts(wx, reply) == [(1, "delivered", None)]
    assert str(wx.far.api.tokens.stable(force=False)["access_token"]) != stale


async def _unreached(wx: WeChat, case: int) -> tuple[dict[str, str], timedelta]:
    """What is on record of it, and how long the task for a person may take."""
    (event,) = await wx.county.rows(CaseEvent, CaseEvent.case_id == case, CaseEvent.kind == "unreached")
    (task,) = await wx.county.rows(Task, Task.case_id == case, Task.asked_by == "unreached")
    return event.content, timedelta(minutes=round((task.due_at - event.at).total_seconds() / 60))


@pytest.mark.parametrize("code", [45015, 45047])
async def test_who_has_agreed_is_told_that_words_wait_and_finds_them_on_the_page(
    wx: WeChat, code: int
) -> None:
    openid = f"o-hinted-{code}"
    case = await case_of(wx, openid)
    wx.far.villager(openid).subscribed = 1
    wx.far.rules.next["message/custom/send"] = [code]
    reply = await say(wx, case, "低保批下来了。")
    await until(lambda: ended(wx, reply))
    told = wx.far.villager(openid).reached[-1]
    assert told.kind == "subscription" and "回音" in told.text and "低保" not in told.text
    content, within = await _unreached(wx, case)
    assert content["hinted"] == "subscription" and within == timedelta(days=1)
    talk, dispatch = await talk_of(wx, openid), wx.county.domain.dispatch
    with wx.county.domain.hub.listen(of_conversation(talk.id)) as page:
        await dispatch.page_is_back(talk.id)
        while (await page.get()).get("reply") != reply:
            pass
        dispatch.shown(reply)
        await until(lambda: delivered(wx, reply))


async def delivered(wx: WeChat, reply: str) -> bool:
    return (await attempts(wx, reply))[-1][1] == "delivered"


async def test_a_hint_that_is_refused_afterwards_was_none(wx: WeChat) -> None:
    """The platform takes it, and says in an event that the person did not get it: nobody waits until tomorrow for that."""
    openid = "o-turned-off"
    case = await case_of(wx, openid)
    villager = wx.far.villager(openid)
    villager.subscribed, villager.refuses = 1, True
    wx.far.rules.next["message/custom/send"] = [45015]
    reply = await say(wx, case, "低保批下来了。")
    await until(lambda: ended(wx, reply))

    async def is_soon() -> bool:
        (task,) = await wx.county.rows(Task, Task.case_id == case, Task.asked_by == "unreached")
        return task.due_at - wx.county.clock.now() <= timedelta(hours=2)

    await until(is_soon)
    told = await wx.county.rows(CaseEvent, CaseEvent.case_id == case, CaseEvent.kind == "unreached")
    assert [event.content["code"] for event in told] == ["window_closed", "not_hinted"]


async def test_our_own_count_of_the_window_leads_to_it_too(wx: WeChat) -> None:
    case = await case_of(wx, "o-late")
    wx.far.villager("o-late").subscribed = 1
    wx.county.clock.offset += timedelta(hours=49)
    reply = await say(wx, case, "低保批下来了。")
    await until(lambda: ended(wx, reply))
    assert wx.far.villager("o-late").reached[-1].kind == "subscription"
    assert (await _unreached(wx, case))[0]["code"] == "window_closed"


@pytest.mark.parametrize("refusal", [43101, 40037, 47003])
async def test_where_none_may_be_sent_a_person_goes_soon(wx: WeChat, refusal: int) -> None:
    case = await case_of(wx, f"o-not-agreed-{refusal}")
    wx.far.rules.next["message/custom/send"] = [45015]
    wx.far.rules.next["message/subscribe/bizsend"] = [refusal]
    reply = await say(wx, case, "低保批下来了。")
    await until(lambda: ended(wx, reply))
    content, within = await _unreached(wx, case)
    assert content == {"code": "window_closed", "instead": "visit"} and within == timedelta(hours=2)


async def test_a_template_that_cannot_be_filled_is_refused_at_the_start(tmp_path: Path) -> None:
    settings = settings_for(
        tmp_path, "", wechat_subscription="tpl", wechat_subscription_keys="thing1,amount2"
    )
    with pytest.raises(ConnectorError, match="amount2"):
        Subscription(settings, None)  # type: ignore[arg-type]  # refused before anything is asked of it


@pytest.mark.parametrize("code", IS_TRIED_AGAIN)
async def test_it_is_tried_again_after(wx: WeChat, code: int | str) -> None:
    case = await case_of(wx, f"o-again-{code}")
    wx.far.rules.next["message/custom/send"] = [code]
    reply = await say(wx, case, "在家吗？")
    await until(lambda: ended(wx, reply))
    assert [one[1] for one in await attempts(wx, reply)] == ["retried", "delivered"]
    assert [one.text for one in wx.far.villager(f"o-again-{code}").reached[2:]] == ["在家吗？"]


@pytest.mark.parametrize("code", [40001, 42001, 40014, 41001])
async def test_a_refused_token_is_replaced_once_and_the_person_hears_it(wx: WeChat, code: int) -> None:
    case = await case_of(wx, f"o-token-{code}")
    wx.far.rules.next["message/custom/send"] = [code]
    reply = await say(wx, case, "在家吗？")
    await until(lambda: ended(wx, reply))
    assert await attempts(wx, reply) == [(1, "delivered", None)]


async def test_a_token_that_stays_refused_is_not_asked_for_without_end(wx: WeChat) -> None:
    case = await case_of(wx, "o-token-bad")
    asked = wx.far.api.tokens.given
    wx.far.rules.next["message/custom/send"] = [40001, 40001]
    reply = await say(wx, case, "在家吗？")
    await until(lambda: ended(wx, reply))
    assert [one[1] for one in await attempts(wx, reply)] == ["retried", "delivered"]
    assert wx.far.api.tokens.given - asked <= 6


async def test_a_token_that_another_program_has_replaced_is_fetched_anew(wx: WeChat) -> None:
    case = await case_of(wx, "o-token-gone")
    wx.far.api.tokens.invalidate()
    reply = await say(wx, case, "在家吗？")
    await until(lambda: ended(wx, reply))
    assert await attempts(wx, reply) == [(1, "delivered", None)]


async def test_what_was_said_first_arrives_first_even_through_faults(wx: WeChat) -> None:
    case = await case_of(wx, "o-in-order")
    wx.far.rules.next["message/custom/send"] = ["500", "500"]
    replies = [await say(wx, case, f"第{n}句。") for n in range(3)]
    for reply in replies:
        await until(lambda reply=reply: ended(wx, reply))
    assert [one.text for one in wx.far.villager("o-in-order").reached[2:]] == ["第0句。\n第1句。\n第2句。"]


async def test_what_waits_behind_another_goes_along_as_far_as_one_message_holds_it(wx: WeChat) -> None:
    """Five messages may be sent for each of theirs: three sentences of a worker's are one of them, not three."""
    case = await case_of(wx, "o-along")
    left = wx.far.villager("o-along").windows["message"][1]
    wx.far.rules.next["message/custom/send"] = ["500"]
    spoken = ["甲" * 400 + "。", "乙" * 200 + "。", "丙" * 200 + "。", "丁。"]
    replies = [await say(wx, case, words) for words in spoken]
    for reply in replies:
        await until(lambda reply=reply: ended(wx, reply))
    arrived = [one.text for one in wx.far.villager("o-along").reached[2:]]
    assert arrived == ["\n".join(spoken[:2]), "\n".join(spoken[2:])]
    assert left - wx.far.villager("o-along").windows["message"][1] == 2
    for reply in replies:
        assert (await attempts(wx, reply))[-1][1] == "delivered"


async def test_an_account_that_is_not_verified_answers_at_once_and_nothing_else(wx: WeChat) -> None:
    wx.far.rules.verified = False
    await wx.far.says("o-unverified", DARK)
    assert [one.how for one in wx.far.villager("o-unverified").reached] == ["passive"]
    case = await wx.county.claimed((await talk_of(wx, "o-unverified")).token, LIN)
    reply = await say(wx, case.id, "在家吗？")
    await until(lambda: ended(wx, reply))
    assert await attempts(wx, reply) == [(1, "failed", "not_allowed")]


async def test_what_could_not_reach_somebody_is_said_when_they_write_again(wx: WeChat) -> None:
    openid = "o-back"
    case = await case_of(wx, openid)
    wx.far.rules.next["message/custom/send"] = [45015]
    reply = await say(wx, case, "低保批下来了。")
    await until(lambda: ended(wx, reply))
    await wx.county.domain.casework.release(case, wx.county.id_of(LIN))
    await wx.far.says(openid, SALT)
    villager = wx.far.villager(openid)
    await wx.far.until(lambda: villager.reached[-1].text.endswith("好的，我记着了。"))
    shown = "\n".join(one.text for one in villager.reached if one.kind == "text")
    assert shown.endswith("低保批下来了。\n好的，我记着了。")


async def test_closing_words_that_cannot_be_brought_are_a_task_too(wx: WeChat) -> None:
    case = await case_of(wx, "o-closing")
    wx.far.rules.next["message/custom/send"] = [43004]
    await wx.county.domain.casework.close(case, wx.county.id_of(LIN), Stage.CLOSED, "办好了")
    await until(lambda: wx.county.rows(Task, Task.case_id == case, Task.asked_by == "unreached"))


async def test_nobody_is_sent_out_for_a_sound(wx: WeChat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch_module, "MAX_ATTEMPTS", 1)
    monkeypatch.setattr(way_module, "MAX_ATTEMPTS", 1)
    openid = "o-only-text"
    case = await case_of(wx, openid)

    async def speaks(_session: object, _conversation: int) -> bool:
        return True

    monkeypatch.setattr(way_module, "_speaks", speaks)
    wx.far.rules.next["media/upload"] = ["500"] * 4
    wx.far.rules.next["message/custom/send"] = ["ok", *["500"] * 4]
    reply = await say(wx, case, "在家吗？")
    await until(lambda: ended(wx, reply))
    assert (await attempts(wx, reply))[-1][1] == "delivered"
    assert not await wx.county.rows(Task, Task.case_id == case, Task.asked_by == "unreached")


async def test_wechatpys_own_client_is_served_by_the_double(wx: WeChat) -> None:
    """The independent reader: what it accepts from the double it accepts from the platform."""

    class Client(WeChatClient):
        API_BASE_URL = f"{wx.far.url}/cgi-bin/"

    token = str(wx.far.api.tokens.stable(force=False)["access_token"])
    client = Client(wx.far.rules.app_id, wx.far.rules.secret, access_token=token)
    wx.far.villager("o-client").did("message", wx.far.rules.clock())
    await asyncio.to_thread(client.message.send_text, "o-client", "好")
    assert wx.far.villager("o-client").reached[-1].text == "好"


async def test_replies_are_on_record_with_each_attempt(wx: WeChat) -> None:
    case = await case_of(wx, "o-record")
    wx.far.rules.next["message/custom/send"] = ["500", -1]
    reply = await say(wx, case, "在家吗？")
    await until(lambda: ended(wx, reply))
    assert await attempts(wx, reply) == [
        (1, "retried", "no_answer"), (2, "retried", "busy"), (3, "delivered", None),
    ]  # fmt: skip
    assert (await wx.county.rows(Reply, Reply.id == reply))[0].worker_id == wx.county.id_of(LIN)
