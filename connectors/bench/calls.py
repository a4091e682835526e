"""How many calls at once: as many callers as are asked for, each a process, speaking and listening at the same time."""

import asyncio
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import aiohttp

from connectors.bench.phone import call, free_port, sip_settings
from connectors.bench.speed import dialogue_ready
from connectors.bench.turns_spoken import Spoken, turns
from connectors.bench.voice import CLIPS, log_lines, until_prepared, until_ready
from connectors.settings import Settings
from connectors.trial import Trial, trial
from voice.kokoro import Kokoro
from voice.models import ModelStore

AT_ONCE = (6, 5, 4, 3, 2, 1)
EACH = 4
"""utterances of one call"""
_MOST_GAP_MS, _MOST_S = 60.0, 2.5


async def bench_calls(settings: Settings, say: Callable[[str], None]) -> dict[str, float]:
    """The largest number that keeps to the bounds, else what one call alone gives."""
    kokoro = Kokoro(ModelStore(settings.models).path("kokoro-zh"))
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="xiangyin-said-") as folder:
        spoken = await asyncio.to_thread(turns, CLIPS, kokoro, Path(folder), 48)
        async with trial(settings, **sip_settings(port)) as one, aiohttp.ClientSession() as http:
            await dialogue_ready(one, http)
            await until_ready(one)
            await until_prepared(one, say)
            for calls in AT_ONCE:
                gap_ms, p95_s = await _together(one, port, calls, spoken[24:], Path(folder))
                say(f"{calls} 通：{gap_ms:.0f} 毫秒，{p95_s:.2f} 秒")
                if gap_ms <= _MOST_GAP_MS and p95_s <= _MOST_S:
                    break
    return {"calls": calls, "gap_ms_p99": round(gap_ms, 1), "p95_s": round(p95_s, 3)}


async def _together(
    one: Trial, port: int, calls: int, spoken: Sequence[Spoken], folder: Path
) -> tuple[float, float]:
    before = len(log_lines(one, "telephone.answered"))

    async def caller(which: int) -> float:
        async with call(port, folder, f"1380000{which:04d}") as phone:
            await phone.hear(30, 1.5)
            for utterance in spoken[which::calls][:EACH]:
                await phone.say(utterance.path)
                await phone.hear(20, 1.5)
            told = await phone.wait(0.0)
            await phone.hang_up()
        return float(told["gap_ms"])

    gaps = await asyncio.gather(*(caller(which) for which in range(calls)))
    waits = [
        line["patience"] + line["recognition"] + line["dialogue"] + line["synthesis"]
        for line in log_lines(one, "telephone.answered")[before:]
    ]
    return max(gaps), statistics.quantiles(waits, n=20)[-1] if len(waits) > 1 else float("inf")
