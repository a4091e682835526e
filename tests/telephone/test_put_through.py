"""Who asks for a person on the telephone is put through to a worker, who hears first whose call it is; else called back."""

import asyncio
import time
from pathlib import Path

import baresip
import pytest
from conftest import WORKER, Exchange
from county import until
from mouths import GREETING, like
from strict_double import answer, effect

from connectors.bench.phone import answering, free_port
from connectors.sip_line import dialled
from handoff.store.tables import Case, CaseEvent, Conversation, Task, Turn

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]


async def _case(exchange: Exchange) -> Case:
    newest = max(talk.id for talk in await exchange.rows(Conversation))
    (case,) = await exchange.rows(Case, Case.conversation_id == newest)
    return case


async def _events(exchange: Exchange) -> list[str]:
    case = await _case(exchange)
    return [event.kind for event in await exchange.rows(CaseEvent, CaseEvent.case_id == case.id)]


async def _has(exchange: Exchange, kind: str) -> bool:
    return kind in await _events(exchange)


async def test_the_worker_takes_the_call_with_a_key_and_both_hear_each_other(
    exchange: Exchange, on_duty: None
) -> None:
    async with (
        answering(exchange.worker_port, exchange.folder, WORKER) as worker,
        exchange.call() as caller,
    ):
        await exchange.hears(caller, GREETING)
        await caller.key("0")
        await worker.rung()
        first, _ = await worker.hear(
            gap_s=4
        )  # understood afterwards: a busy machine must not keep the worker waiting
        await worker.key("1")
        heard = await asyncio.to_thread(exchange.mouths.words, first)
        assert like(heard, "乡音转来的电话。按一接过来，按二现在不方便。") > 0.5
        await until(lambda: _has(exchange, "put_through"))
        turns = len(await exchange.rows(Turn))
        await worker.begin(exchange.mouths.wav("王嬢嬢，我是社工小林，您慢慢说。"))
        await exchange.hears(caller, "我是社工小林，您慢慢说。")
        await caller.begin(exchange.mouths.wav("降压药吃完了，村里买不到。"))
        await exchange.hears(worker, "降压药吃完了，村里买不到。")
        await worker.hang_up()
        await exchange.hears(caller, "社工那边挂了。还有事，您接着跟我说。")
        await caller.hang_up()
    case = await _case(exchange)
    assert case.claimed_by is not None and case.need == "human"
    assert len(await exchange.rows(Turn)) == turns, "what the two say is theirs"
    assert not [line for line in exchange.trial.printed if WORKER in line]


@pytest.mark.parametrize("how", ["refuses", "presses two", "hangs up", "nobody there"])
async def test_where_nobody_takes_it_a_call_back_is_promised_and_planned(
    exchange: Exchange, on_duty: None, how: str
) -> None:
    async def wait_in_vain() -> None:
        async with exchange.call() as caller:
            await caller.until_sound(30)
            await caller.key("0")  # who knows the key need not hear the greeting out
            if how in ("presses two", "hangs up"):
                await worker.rung()
                await worker.hear(most_s=4)
                await (worker.key("2") if how == "presses two" else worker.hang_up())
            await exchange.hears(caller, "社工这会儿都没接上。您的事记着，会给您打回去。")
            await caller.hang_up()

    if how == "nobody there":
        await wait_in_vain()
    else:
        async with answering(
            exchange.worker_port, exchange.folder, WORKER, refuses=how == "refuses"
        ) as worker:
            await wait_in_vain()
    assert await _has(exchange, "not_put_through")
    case = await _case(exchange)
    assert case.claimed_by is None
    assert [task.kind for task in await exchange.rows(Task, Task.case_id == case.id)].count("call") == 1


async def test_a_caller_who_hangs_up_meanwhile_does_not_keep_the_worker(
    exchange: Exchange, on_duty: None
) -> None:
    async with answering(exchange.worker_port, exchange.folder, WORKER) as worker:
        async with exchange.call() as caller:
            await exchange.hears(caller, GREETING)
            await caller.key("0")
            await worker.rung()
            await worker.hear(most_s=3)
            await caller.hang_up()
        _, told = await worker.hear(most_s=20, gap_s=30)
        assert told["over"]


async def test_without_a_number_of_anybody_the_matter_is_promised_as_ever(exchange: Exchange) -> None:
    exchange.rasa.script["找人"] = answer(
        "好，我给您找人。", effect("hand_over", reason="asked"), need="human", intent="human"
    )
    async with exchange.call() as caller:
        await exchange.hears(caller, GREETING)
        await caller.key("0")
        await exchange.hears(caller, "好，我给您找人。两个工作日里会有人找您。")
        await caller.hang_up()
    assert "put_through" not in await _events(exchange) and "not_put_through" not in await _events(exchange)


async def test_a_worker_who_answers_before_we_have_the_call_is_not_lost(tmp_path: Path) -> None:
    """A telephone system may take a call at once; a loop that is busy just then must not wait for it in vain."""
    port = free_port()
    runtime = baresip.Runtime()
    await runtime.start(baresip.Config(net_interface="127.0.0.1", native_log_level="error"))
    try:
        account = baresip.Account("xiangyin", "127.0.0.1", "", reg_interval=0, audio_codecs=("pcma",))
        agent = await baresip.UserAgent.create(runtime, account)
        async with answering(port, tmp_path, WORKER) as worker:
            dialling = asyncio.create_task(dialled(runtime, agent, f"sip:{WORKER}@127.0.0.1:{port}"))
            await asyncio.sleep(0)
            time.sleep(2.0)  # noqa: ASYNC251  # all that the far end does is reported to a loop that is held up
            call = await dialling
            await call.wait_established(10)
            await worker.rung()
            await call.hangup()
    finally:
        await runtime.close()
