"""Real calls: a SIP user agent in another process speaks, presses keys, is silent, hangs up badly; the service is whole."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from conftest import LINES, Exchange
from county import until
from mouths import ASKED, GREETING, like
from sqlalchemy import select
from strict_double import answer, effect

from connectors.errors import ConnectorError
from handoff.store.tables import Address, Case, CaseEvent, Conversation, Notice, Reply, Task, Turn
from voice.heard_text import words_only

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

LONG = "我先把话说清楚。药的事照医生写的来。别自己加，也别自己停。拿着药盒问村医。村医不在就去卫生院。"


async def turns(exchange: Exchange, text: str = "") -> list[Turn]:
    """Of the newest conversation, those whose words are like this."""
    newest = max((talk.id for talk in await exchange.rows(Conversation)), default=0)
    found = await exchange.rows(Turn, Turn.conversation_id == newest)
    return [turn for turn in found if not text or like(turn.text, text) > 0.5]


async def test_a_call_is_greeted_heard_and_answered(exchange: Exchange) -> None:
    exchange.rasa.otherwise = answer("好的，我给您记下来了。")
    async with exchange.call() as phone:
        await exchange.hears(phone, GREETING)
        await phone.say(exchange.mouths.wav(ASKED))
        await exchange.hears(phone, "好的，我给您记下来了。")
        await phone.hang_up()
    (turn,) = await turns(exchange, ASKED)
    assert turn.engine == "whisper" and turn.state == "answered"
    assert (await exchange.ended(1))["broke_off"] is False


async def test_the_number_that_calls_is_on_record_and_in_no_log(exchange: Exchange) -> None:
    async with exchange.call("13900001111") as phone:
        await phone.hear()
        await phone.hang_up()
    talk = (await exchange.rows(Conversation))[-1]
    (address,) = await exchange.rows(Address, Address.id == talk.address_id)
    assert address.value == "13900001111" and talk.channel == "phone"
    assert not [line for line in exchange.trial.printed if "1390000" in line or "1381234" in line]


async def test_words_stop_the_voice(exchange: Exchange) -> None:
    exchange.rasa.otherwise = answer(LONG)
    async with exchange.call() as phone:
        await exchange.hears(phone, GREETING)
        before = len(exchange.actions("telephone.answered"))
        await phone.say(exchange.mouths.wav(ASKED))
        await until(lambda: len(exchange.actions("telephone.answered")) > before, within=60)
        exchange.rasa.otherwise = answer("好，我听您说。")
        await phone.wait(1.0)  # it is in the middle of its first sentence
        began = await phone.begin(exchange.mouths.wav("等一下等一下，我先说我的事情。"))
        _, heard = await phone.hear(most_s=1.5, gap_s=30)
        assert heard["quiet"] - began["at"] < 5
        await exchange.hears(phone, "好，我听您说。")
        await phone.hang_up()
    assert len(await turns(exchange)) == 2


KEYS = {"0": "找人", "1": "是", "2": "不是", "9": "再说一遍", "*": "慢一点"}


async def test_keys_are_words(exchange: Exchange) -> None:
    async with exchange.call() as phone:
        await phone.until_sound(30)
        for pressed, key in enumerate(KEYS, 1):  # it is allowed to press while it speaks
            await phone.key(key)
            await until(lambda pressed=pressed: _so_many(exchange, pressed), within=30)
        await phone.hang_up()
    assert [(turn.engine, turn.text) for turn in await turns(exchange)] == [
        ("key", word) for word in KEYS.values()
    ]


async def _so_many(exchange: Exchange, count: int) -> bool:
    return len(await turns(exchange)) >= count


async def test_slower_is_heard_in_the_next_answer(exchange: Exchange) -> None:
    exchange.rasa.script["慢一点"] = answer(
        effect("pace", change="slower"), need="talk", intent="talk_slower"
    )
    async with exchange.call() as phone:
        await phone.hear()
        await phone.key("*")
        await phone.hear()
        await phone.hang_up()
    talk = (await exchange.rows(Conversation))[-1]
    assert talk.speed < 1.0


async def test_silence_is_asked_about_gently_and_then_a_call_is_promised(exchange: Exchange) -> None:
    async with exchange.call() as phone:
        await exchange.hears(phone, GREETING)
        await exchange.hears(phone, "您还在吗？不着急，慢慢说。")
        await exchange.hears(phone, "您有什么难处，说一句就行。")
        await exchange.hears(phone, "我请人给您打回去")
        _, still = await phone.hear(most_s=10)
        assert not still["over"], "nobody is hung up on"
        await phone.hang_up()
    (turn,) = await turns(exchange)
    (case,) = await exchange.rows(Case, Case.conversation_id == turn.conversation_id)
    assert case.risk == "attention"
    assert [task.kind for task in await exchange.rows(Task, Task.case_id == case.id)] == ["call"]


async def test_a_line_that_dies_in_mid_sentence_loses_nothing(exchange: Exchange) -> None:
    async with exchange.call() as phone:
        await phone.hear()
        # The words stop in the middle, and so does everything else: no goodbye, no packet.
        await phone.say(exchange.mouths.wav("我家的屋顶漏雨漏了好几天了，想请人来看一看。", seconds=3.0))
        await phone.vanish()
    await until(lambda: turns(exchange, "我家的屋顶漏雨漏了"))
    newest = max(talk.id for talk in await exchange.rows(Conversation))

    async def planned() -> list[Task]:
        async with exchange.store.read() as session:
            mine = select(Task).join(Case, Case.id == Task.case_id)
            return [*await session.scalars(mine.where(Case.conversation_id == newest, Task.kind == "call"))]

    assert await until(planned)
    (case,) = await exchange.rows(Case, Case.conversation_id == newest)
    assert "broke_off" in [
        event.kind for event in await exchange.rows(CaseEvent, CaseEvent.case_id == case.id)
    ]


async def test_several_calls_at_once(exchange: Exchange) -> None:
    exchange.rasa.otherwise = answer("好的，我记着了。")

    asked = exchange.mouths.wav(ASKED)

    async def one(number: str) -> None:
        async with exchange.call(number) as phone:
            await exchange.hears(phone, GREETING)
            await phone.say(asked)
            await exchange.hears(phone, "好的，我记着了。")
            await phone.hang_up()

    before = len(await exchange.rows(Conversation))
    await asyncio.gather(*(one(f"1381111000{n}") for n in range(LINES)))
    assert len(await exchange.rows(Conversation)) == before + LINES


async def test_one_call_too_many_hears_busy_and_the_next_is_answered(exchange: Exchange) -> None:
    async with AsyncExitStack() as talking:
        for n in range(LINES):
            await talking.enter_async_context(exchange.call(f"1381111000{n}"))
        with pytest.raises(ConnectorError, match="486"):
            await talking.enter_async_context(exchange.call("13811110009"))
    async with exchange.call() as phone:
        await exchange.hears(phone, GREETING)
        await phone.hang_up()


async def test_what_was_heard_is_delivered_once(exchange: Exchange) -> None:
    """The durable engine asks for what it does not know to be delivered; nobody is told a thing twice."""
    exchange.rasa.otherwise = answer(LONG)
    async with exchange.call() as phone:
        await phone.hear()
        await phone.say(exchange.mouths.wav(ASKED))
        heard = await exchange.hears(phone, LONG)
        heard += exchange.mouths.words((await phone.hear(most_s=7))[0])
        await phone.hang_up()
    assert len(heard) < 1.5 * len(words_only(LONG)), "it was said twice"
    newest = max(talk.id for talk in await exchange.rows(Conversation))
    replies = [reply.id for reply in await exchange.rows(Reply, Reply.conversation_id == newest)]

    async def states() -> list[str] | None:
        found = [notice.state for notice in await exchange.rows(Notice, Notice.reply_id.in_(replies))]
        return found if "pending" not in found else None

    assert (await until(states)).count("delivered") == 2


async def test_it_stops_cleanly_in_the_middle_of_a_call(exchange: Exchange) -> None:
    async with exchange.call() as phone:
        await phone.hear(most_s=2)
        await phone.key("1")
        await phone.hear(most_s=2)
        assert await exchange.trial.stop() == 0
    assert not [line for line in exchange.trial.printed if "Traceback" in line or "never retrieved" in line]
