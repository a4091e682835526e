"""The service rings people up: a real telephone rings, is answered, or is not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from conftest import Exchange
from county import until
from mouths import GREETING
from sqlalchemy import update
from strict_double import answer

from connectors.bench.phone import Phone, answering
from handoff.model.clock import Clock
from handoff.store.tables import Address, Call, Case, CaseEvent, Conversation, Turn

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]
SETTINGS = {"CALLS_OUT": "true"}

NUMBER = "13812345678"
LEAKS = "我家的屋顶漏雨漏了好几天了，想请人来看一看。"
REMINDER = "明天上午九点去卫生院量血压"


@asynccontextmanager
async def at_home(exchange: Exchange, *, refuses: bool = False) -> AsyncIterator[Phone]:
    """Whoever the service rings up has a telephone that answers, or says that it is busy."""
    async with answering(exchange.worker_port, exchange.folder, NUMBER, refuses=refuses) as phone:
        yield phone


async def case_after_a_call(exchange: Exchange) -> Case:
    """Somebody has called, and was cut off in the middle."""
    exchange.rasa.otherwise = answer("好的，我给您记下来了。")
    async with exchange.call(NUMBER) as phone:
        await exchange.hears(phone, GREETING)
        await phone.say(exchange.mouths.wav(LEAKS, seconds=3.0))
        await phone.vanish()
    newest = max(talk.id for talk in await exchange.rows(Conversation))
    return (await until(lambda: exchange.rows(Case, Case.conversation_id == newest)))[0]


async def some_case(exchange: Exchange) -> Case:
    """Any case of whoever has called; a call is only made where there is none yet."""
    known = await exchange.rows(Case)
    return known[-1] if known else await case_after_a_call(exchange)


async def plan(exchange: Exchange, case: Case, purpose: str, words: str | None = None) -> int:
    """A call that is due at once."""
    now = Clock().now()
    (address,) = await exchange.rows(Address, Address.channel == "phone")
    async with exchange.store.write() as session:
        planned = update(Call).where(
            Call.state == "planned"
        )  # what the broken call has planned is for another test
        await session.execute(planned.values(state="cancelled"))
        call = Call(
            case_id=case.id, address_id=address.id, purpose=purpose, words=words, state="planned", tries=0,
            due_at=now, created_at=now,
        )  # fmt: skip
        session.add(call)
        await session.flush()
        return call.id


async def has_come_to(exchange: Exchange, call_id: int, state: str, tries: int = 1) -> Call:
    async def reached() -> Call | None:
        (call,) = await exchange.rows(Call, Call.id == call_id)
        return call if (call.state, call.tries) == (state, tries) else None

    found: Call = await until(reached, within=90)
    return found


async def events(exchange: Exchange, case: Case) -> list[str]:
    return [event.kind for event in await exchange.rows(CaseEvent, CaseEvent.case_id == case.id)]


async def test_who_was_cut_off_is_rung_back_and_goes_on(exchange: Exchange) -> None:
    case = await case_after_a_call(exchange)
    (planned,) = await until(lambda: exchange.rows(Call, Call.case_id == case.id))
    async with at_home(exchange) as phone:
        async with exchange.store.write() as session:  # half a minute later
            await session.execute(update(Call).where(Call.id == planned.id).values(due_at=Clock().now()))
        await phone.rung()
        await exchange.hears(phone, "刚才电话断了，我给您打回来。您接着说。")
        await phone.say(exchange.mouths.wav("降压药吃完了，村里买不到。"))
        await exchange.hears(phone, "好的，我给您记下来了。")
        await phone.hang_up()
    await has_come_to(exchange, planned.id, "done")
    turns = await exchange.rows(Turn, Turn.conversation_id == case.conversation_id)
    assert len(turns) == 2, "it is the same conversation, and nothing of it was taken for a repeat"
    assert not [line for line in exchange.trial.printed if NUMBER in line]


async def test_a_reminder_is_heard_and_confirmed_by_keys(exchange: Exchange) -> None:
    case = await some_case(exchange)
    async with at_home(exchange) as phone:
        call = await plan(exchange, case, "reminder", REMINDER)
        await phone.rung()
        await exchange.hears(phone, "您好，我是乡音。前些天是您找过我们吗？")
        await phone.key("1")
        await exchange.hears(phone, f"社工请我提醒您：{REMINDER}。")
        await phone.key("1")
        await exchange.hears(phone, "好，您记着就行。没有别的事，您就挂了吧。")
        await phone.hang_up()
    await has_come_to(exchange, call, "done")
    assert "reminder_heard" in await events(exchange, case)


async def test_an_answer_without_a_word_ends_with_a_goodbye_and_another_try(exchange: Exchange) -> None:
    case = await some_case(exchange)
    async with at_home(exchange) as phone:
        call = await plan(exchange, case, "reminder", REMINDER)
        await phone.rung()
        _, told = await phone.hear(most_s=60, gap_s=40)
        assert told["over"], "a line that nobody speaks on is free again"
    again = await has_come_to(exchange, call, "planned")
    assert again.code == "not_confirmed" and again.due_at > Clock().now()


async def test_a_telephone_that_is_busy_is_tried_later(exchange: Exchange) -> None:
    case = await some_case(exchange)
    async with at_home(exchange, refuses=True):
        call = await plan(exchange, case, "helped")
        again = await has_come_to(exchange, call, "planned")
    assert again.code == "no_answer" and again.due_at > Clock().now()
    assert "call_missed" in await events(exchange, case)


async def test_a_line_is_left_for_whoever_calls_in(exchange: Exchange) -> None:
    """While ours is going on, all but one of the lines can be taken, and the last is free for a call."""
    case = await some_case(exchange)
    async with at_home(exchange) as phone:
        call = await plan(exchange, case, "reminder", REMINDER)
        await phone.rung()
        async with exchange.call("13911110001") as one, exchange.call("13911110002") as other:
            await asyncio.gather(exchange.hears(one, GREETING), exchange.hears(other, GREETING))
            await one.hang_up()
            await other.hang_up()
        await phone.hang_up()
    await has_come_to(exchange, call, "planned")
