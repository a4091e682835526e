"""Telephones that are not ours call: sipp and Debian's baresip. They speak, press keys, hang up badly, call 500 times."""

from pathlib import Path

import pytest
from conftest import Exchange
from county import until
from mouths import ASKED, GREETING, like
from peers import baresip, missing, sipp
from sqlalchemy import func, select
from strict_double import answer

from handoff.store.tables import Conversation, Turn

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]
by_sipp = pytest.mark.skipif(missing("sipp") is not None, reason=str(missing("sipp")))
by_baresip = pytest.mark.skipif(missing("baresip") is not None, reason=str(missing("baresip")))

CALLS, WARM = 500, 100


async def newest_turns(exchange: Exchange) -> list[Turn]:
    newest = max(talk.id for talk in await exchange.rows(Conversation))
    return await exchange.rows(Turn, Turn.conversation_id == newest)


async def begun(exchange: Exchange) -> int:
    """How many conversations there have been."""
    async with exchange.store.read() as session:
        return int(await session.scalar(select(func.count()).select_from(Conversation)) or 0)


async def still_answers(exchange: Exchange) -> None:
    async with exchange.call() as phone:
        await exchange.hears(phone, GREETING)
        await phone.hang_up()


@by_sipp
async def test_sipp_speaks_and_is_understood(exchange: Exchange, tmp_path: Path) -> None:
    exchange.rasa.otherwise = answer("好的，我给您记下来了。")
    played = await sipp("speaks", exchange.port, tmp_path, says=exchange.mouths.wav(ASKED))
    assert played.status == 0, played.told
    (turn,) = await newest_turns(exchange)
    assert turn.engine == "whisper" and like(turn.text, ASKED) > 0.5


@by_baresip
async def test_debians_baresip_speaks_hears_and_presses_a_key(exchange: Exchange, tmp_path: Path) -> None:
    exchange.rasa.otherwise = answer("好的，我给您记下来了。")
    async with baresip(tmp_path, "13812345678", exchange.mouths.wav(ASKED)) as phone:
        ended = len(exchange.actions("telephone.ended"))
        await phone.calls(exchange.port)
        await exchange.mouths.hear(phone.heard, GREETING)
        await exchange.mouths.hear(phone.heard, "好的，我给您记下来了。")
        await phone.presses("9")

        async def both() -> bool:
            return {"whisper", "key"} <= {turn.engine for turn in await newest_turns(exchange)}

        await until(both)
        phone.types("b")
        await exchange.ended(ended + 1)


@by_sipp
async def test_who_hangs_up_badly_harms_nobody(exchange: Exchange, tmp_path: Path) -> None:
    for scenario, calls in {"cancels": 3, "never_confirms": 3, "hangs_up_twice": 1, "vanishes": 1}.items():
        deaf = scenario == "cancels"
        played = await sipp(scenario, exchange.port, tmp_path, calls=calls, at_once=calls, deaf=deaf)
        assert played.status == 0, (scenario, played.told)

    async def no_line_held() -> bool:
        return len(exchange.actions("telephone.ended")) == await begun(exchange)

    await until(no_line_held)  # a line that was cut is held for twenty seconds: a person may come back
    await still_answers(exchange)
    await until(no_line_held)
    assert not [line for line in exchange.trial.printed if "Traceback" in line or "1390000" in line]


def held(pid: int) -> dict[str, int]:
    """What a process holds: open files, threads, memory in kB."""
    folder = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    return {
        "files": len([*(folder / "fd").iterdir()]),
        "threads": int(status["Threads"]),
        "memory": int(status["VmRSS"].split()[0]),
    }


@by_sipp
async def test_nothing_is_left_of_500_calls(exchange: Exchange, tmp_path: Path) -> None:
    assert exchange.trial.process is not None
    pid = exchange.trial.process.pid

    async def call(times: int) -> None:
        before = await begun(exchange)
        played = await sipp(
            "short", exchange.port, tmp_path, calls=times, at_once=2, a_second=10, within_s=600
        )
        assert played.status == 0, played.told
        assert await begun(exchange) == before + times

    await call(WARM)
    warm = held(pid)
    await call(CALLS - WARM)
    await until(lambda: held(pid)["files"] <= warm["files"] + 2)
    cold = held(pid)
    assert cold["threads"] <= warm["threads"] + 2
    # A call that left its models or its sound behind would be megabytes each.
    assert cold["memory"] - warm["memory"] < 60_000
    await still_answers(exchange)
