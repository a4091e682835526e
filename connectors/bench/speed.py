"""How fast: turns through HTTP with real Rasa, and lines through the danger screen."""

import asyncio
import statistics
import sys
import time
from collections.abc import Callable

import aiohttp

from connectors.bench.sentences import everyday, mixed
from connectors.errors import ConnectorError
from connectors.settings import Settings
from connectors.trial import Trial, trial

TURNS, TALKERS, WARM_UP = 800, 8, 80
RATE, RATED_TURNS = 10.0, 300
LINES = 20_000


async def bench_turns(settings: Settings, say: Callable[[str], None]) -> dict[str, float]:
    """Turns a second from eight who never pause; then the latency of turns that come ten a second."""
    async with trial(settings) as one, aiohttp.ClientSession() as http:
        await dialogue_ready(one, http)
        say("热身……")
        await _hurry(one, http, everyday(WARM_UP, seed=3))
        say(f"{TALKERS} 人不停地说，共 {TURNS} 句……")
        began = time.perf_counter()
        await _hurry(one, http, everyday(TURNS))
        rate = TURNS / (time.perf_counter() - began)
        say(f"每秒 {rate:.1f} 句。再按每秒 {RATE:.0f} 句的速度说 {RATED_TURNS} 句……")
        took = sorted(await _at_rate(one, http, everyday(RATED_TURNS, seed=5)))
    p95 = statistics.quantiles(took, n=20)[-1]
    return {
        "turns_per_s": round(rate, 1),
        "p50_ms": round(statistics.median(took) * 1000, 1),
        "p95_ms": round(p95 * 1000, 1),
    }


async def dialogue_ready(one: Trial, http: aiohttp.ClientSession, within_s: float = 240.0) -> None:
    """Wait until the service's own Rasa answers; raises ConnectorError."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        async with http.get(f"{one.base}/api/health") as response:
            if (await response.json())["dialogue"]:
                return
        await asyncio.sleep(0.2)
    raise ConnectorError("no_rasa", "对话引擎一直没有起来。请运行 xiangyin doctor 看看缺什么。")


async def _begin(one: Trial, http: aiohttp.ClientSession) -> str:
    async with http.post(f"{one.base}/station/api/conversations", json={"speaker": "self"}) as response:
        return str((await response.json())["conversation"])


async def _turn(one: Trial, http: aiohttp.ClientSession, conversation: str, n: int, text: str) -> float:
    began = time.perf_counter()
    body = {"conversation": conversation, "message_id": f"bench-{n}", "text": text}
    async with http.post(f"{one.base}/station/api/turns", json=body) as response:
        await response.read()
        if response.status != 200:
            raise ConnectorError("bench", f"服务答了 {response.status}。")
    return time.perf_counter() - began


async def _hurry(one: Trial, http: aiohttp.ClientSession, texts: list[str]) -> None:
    async def talker(which: int) -> None:
        for n, text in enumerate(texts[which::TALKERS]):
            if n % 10 == 0:
                conversation = await _begin(one, http)
            await _turn(one, http, conversation, n, text)

    await asyncio.gather(*(talker(which) for which in range(TALKERS)))


async def _at_rate(one: Trial, http: aiohttp.ClientSession, texts: list[str]) -> list[float]:
    """Sent by the clock, whether the last was answered or not, so that waiting is counted."""
    conversations = [await _begin(one, http) for _ in range(20)]
    began, running = time.perf_counter(), []
    for n, text in enumerate(texts):
        await asyncio.sleep(max(0.0, began + n / RATE - time.perf_counter()))
        running.append(asyncio.ensure_future(_turn(one, http, conversations[n % 20], n, text)))
    return list(await asyncio.gather(*running))


async def bench_screen(say: Callable[[str], None]) -> dict[str, float]:
    """Lines a second through `xiangyin screen`, the start of the process counted too."""
    say(f"{LINES} 行……")
    lines = "\n".join(mixed(LINES)).encode() + b"\n"
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "connectors.cli",
        "screen",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate(lines)
    took = time.perf_counter() - began
    if len(out.splitlines()) != LINES:
        raise ConnectorError("bench", "筛查没有每行答一行。")
    return {"lines_per_s": round(LINES / took, 1)}
