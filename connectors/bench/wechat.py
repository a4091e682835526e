"""What WeChat's villagers get while the platform misbehaves and the service is killed: each message one answer, in order."""

import asyncio
import signal
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import numpy as np
from sqlalchemy import select

from connectors.bench.sentences import everyday, mixed
from connectors.bench.speed import dialogue_ready
from connectors.rasa_model import ensure_model
from connectors.root import open_store
from connectors.settings import Settings, read_settings
from connectors.trial import Trial, trial
from connectors.wechat.double import Double, Rules
from connectors.wechat.double.run import settings_for
from connectors.wechat.double.sounds import to_amr
from handoff.store.database import Store
from handoff.store.tables import Address, Conversation, Notice, Reply, Turn
from voice.audio import Sound, to_wav
from voice.kokoro import RATE, Kokoro
from voice.speech_text import speakable

CALM, MESSAGES, VILLAGERS, KILLS, A_SECOND = 250, 500, 40, 2, 10.0
VOICES, VOICE_S, SPOKEN_EVERY = 5, 30.0, 10
DUPLICATES, ERRORS, TOKEN_LIVES_S = 0.1, 0.05, 20.0
SETTLES_WITHIN_S = 120.0
_CALM_S = 2.0  # after a restart, until a message counts for the time it takes
_WRITES_AGAIN = "我在等着呢"
_BEFORE_A_KILL_S = 2.0  # sent and not yet on record


@dataclass
class _Run:
    """What happened."""

    double: Double
    one: Trial
    took: list[float] = field(default_factory=list)
    """Seconds from a message to its passive answer, outside the outages."""
    said: int = 0
    kill_at: int = 0
    spoken: bool = False
    """Whether some are said instead of typed."""
    due: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when so many have been said that the service is to be killed."""
    down: bool = False
    kills: int = 0
    calm_from: float = 0.0
    killed: list[float] = field(default_factory=list)
    """When, by the double's clock."""


async def bench_wechat(
    settings: Settings, say: Callable[[str], None], *, calm: int = CALM, messages: int = MESSAGES, voices: int = VOICES, rasa_url: str = "",
) -> dict[str, Any]:  # fmt: skip
    """How soon texts are answered at ten a second; then what is lost, doubled or out of order when all goes wrong.

    `rasa_url`: a dialogue that runs already.
    """
    if not rasa_url:
        await ensure_model(settings, say)
    say(f"先平平常常：{calm} 条，每秒 {A_SECOND:.0f} 条……")
    usual = await _round(settings, say, Rules(), calm, 0, rasa_url) if calm else {"p50_s": 0.0, "p95_s": 0.0}
    say(f"再处处出毛病：{messages} 条，重复、报错、令牌过期，杀掉服务 {KILLS} 次……")
    rules = Rules(duplicates=DUPLICATES, errors=ERRORS, token_life_s=TOKEN_LIVES_S)
    hard = await _round(settings, say, rules, messages, KILLS, rasa_url)
    say(f"再说话：{voices} 条三十秒的语音，一条一条来……")
    spoken = await _voice_round(settings, voices, rasa_url) if voices else {}
    return hard | {
        "p50_s": usual["p50_s"],
        "p95_s": usual["p95_s"],
        "p95_s_with_faults": hard["p95_s"],
        **spoken,
    }


async def _voice_round(settings: Settings, voices: int, rasa_url: str) -> dict[str, Any]:
    """Seconds from a voice message of half a minute to the answer as text and, after it, to the first by voice."""
    double = Double(Rules())
    mouth = Kokoro(settings.models / "kokoro-zh")
    async with double.running() as far:
        told = _told(double.rules, far) | {"WARM_VOICES": "true"}
        async with trial(settings, rasa_url=rasa_url, **told) as one, aiohttp.ClientSession() as http:
            double.rules.callback = f"{one.base}/wechat"
            await dialogue_ready(one, http)
            took = [
                await _speak(double, f"o-said-{n}", await asyncio.to_thread(_half_a_minute, mouth, n))
                for n in range(voices + 1)
            ]
    texts, sounds = zip(*took[1:], strict=True)  # the first waits for the recogniser to be loaded
    return {
        "voices": voices, "voice_to_text_s": round(statistics.median(texts), 2), "voice_to_text_most_s": round(max(texts), 2),
        "voice_to_voice_s": round(statistics.median(sounds), 2), "voice_to_voice_most_s": round(max(sounds), 2),
    }  # fmt: skip


async def _speak(double: Double, openid: str, amr: bytes) -> tuple[float, float]:
    villager, began = double.villager(openid), time.monotonic()
    reached: dict[str, float] = {}

    def has_all() -> bool:
        for one in villager.reached:
            reached.setdefault(one.kind, time.monotonic() - began)
        return {"text", "voice"} <= reached.keys()

    saying = asyncio.create_task(double.speaks(openid, amr))
    await double.until(has_all, within_s=SETTLES_WITHIN_S)
    await saying
    return reached["text"], reached["voice"]


def _half_a_minute(mouth: Kokoro, seed: int) -> bytes:
    """Somebody who goes on telling, as AMR."""
    said, pause = [], np.zeros(RATE // 2, np.float32)
    for text in everyday(40, seed=seed):
        said += [mouth.speak(speakable(text), "zm_yunyang", 0.9), pause]
        if sum(map(len, said)) >= VOICE_S * RATE:
            break
    return to_amr(to_wav(Sound(np.concatenate(said)[: int(VOICE_S * RATE)], RATE)))


def _told(rules: Rules, far: str) -> dict[str, str]:
    return {
        name.removeprefix("XIANGYIN_"): value
        for name, value in settings_for(rules, far, "http://127.0.0.1").items()
        if "WECHAT" in name
    }


async def _round(
    settings: Settings, say: Callable[[str], None], rules: Rules, messages: int, kills: int, rasa_url: str
) -> dict[str, Any]:
    double = Double(rules)
    async with double.running() as far:
        async with (
            trial(settings, rasa_url=rasa_url, **_told(rules, far)) as one,
            aiohttp.ClientSession() as http,
        ):
            run = _Run(double, one, spoken=kills > 0)
            rules.callback = f"{one.base}/wechat"
            await dialogue_ready(one, http)
            await _talk(run, messages, kills, A_SECOND, say)
            store = open_store(read_settings(data=one.folder, database_url="", secret_key=""))
            try:
                return await _judge(run, store, messages, kills)
            finally:
                await store.close()


async def _talk(run: _Run, messages: int, kills: int, a_second: float, say: Callable[[str], None]) -> None:
    texts = mixed(messages)
    each = [texts[at::VILLAGERS] for at in range(VILLAGERS)]
    killing = asyncio.create_task(_kill(run, messages, kills, say))
    await asyncio.gather(*(_villager(run, at, said, VILLAGERS / a_second) for at, said in enumerate(each)))
    await killing


async def _villager(run: _Run, at: int, texts: list[str], every_s: float) -> None:
    openid = f"o-{at}"
    run.double.villager(openid)
    await asyncio.sleep(every_s * at / VILLAGERS)
    for text in texts:
        began = time.monotonic()
        calm, kills = not run.down and began > run.calm_from, run.kills
        if run.spoken and run.said % SPOKEN_EVERY == 0:
            # Nothing to hear in it: what the platform heard counts. It is answered by voice too, by way of the calls that fail.
            await run.double.speaks(openid, b"#!AMR\n", recognition=text)
        else:
            await run.double.says(openid, text)
        run.said += 1
        if run.said == run.kill_at:
            run.due.set()
        if calm and kills == run.kills:
            run.took.append(time.monotonic() - began)
        await asyncio.sleep(max(0.0, every_s - (time.monotonic() - began)))


async def _kill(run: _Run, messages: int, kills: int, say: Callable[[str], None]) -> None:
    for n in range(1, kills + 1):
        run.kill_at = messages * n // (kills + 1)
        await run.due.wait()
        run.due.clear()
        run.down, run.kills = True, n
        run.killed.append(run.double.rules.clock())
        await run.one.stop(signal.SIGKILL)
        say(f"第 {n} 次杀掉服务")
        await run.one.start()
        run.double.rules.callback = f"{run.one.base}/wechat"
        run.down, run.calm_from = False, time.monotonic() + _CALM_S


async def _judge(run: _Run, store: Store, messages: int, kills: int) -> dict[str, Any]:
    """Compares each villager's screen with what the store says was answered, in its order."""
    end = time.monotonic() + SETTLES_WITHIN_S
    wrote_again: set[str] = set()
    while True:
        wanted, refused = await _answers(store)
        # What waited behind another answer came with it in one message; no answer has lines of its own.
        seen = {
            name: [line for one in who.reached if one.kind == "text" for line in one.text.splitlines()]
            for name, who in run.double.villagers.items()
        }
        told = not any(Counter(texts) - Counter(seen.get(name, [])) for name, texts in wanted.items())
        told = told and not refused and sum(map(len, wanted.values())) >= messages
        # A voice follows its text by the seconds that it takes to render.
        voices = sum(one.kind == "voice" for who in run.double.villagers.values() for one in who.reached)
        if (told and (voices or not run.spoken)) or time.monotonic() > end:
            break
        # What WeChat refused when they had written last (so many messages for each of theirs) waits for their next one.
        for name in refused - wrote_again:
            wrote_again.add(name)
            await run.double.says(name, _WRITES_AGAIN)
        await asyncio.sleep(0.5)
    faults = sum(one.kind == "fault" for who in run.double.villagers.values() for one in who.reached)
    lost = sum((Counter(texts) - Counter(seen.get(name, []))).total() for name, texts in wanted.items())
    twice = _twice(run, wanted)
    disorder = sum(
        sorted(seen.get(name, [])) == sorted(texts) and seen.get(name) != texts
        for name, texts in wanted.items()
        if name not in wrote_again  # theirs came late, and not before somebody had been told of it
    )
    quantiles = statistics.quantiles(run.took, n=100) if len(run.took) > 1 else [0.0] * 99
    return {
        "messages": messages, "stored": sum(map(len, wanted.values())), "kills": kills, "pushes": len(run.double.pushing.tries),
        "api_calls": len(run.double.api.calls), "api_errors": sum(code == 500 for _, code in run.double.api.calls),
        "tokens": run.double.api.tokens.given, "lost": lost, "wrote_again": len(wrote_again), "answered_twice": len(twice), "of_them_by_kills": sum(one["by_kill"] for one in twice), "twice": twice, "out_of_order": disorder, "given_up": faults,
        "voice_answers": voices,
        "p50_s": round(quantiles[49], 3), "p95_s": round(quantiles[94], 3),
    }  # fmt: skip


def _twice(run: _Run, wanted: dict[str, list[str]]) -> list[dict[str, Any]]:
    """Each answer that was seen once more than it was given: how it came, when, and whether a kill can be behind it.

    It can where it was first seen around one, as long after it as the platform's tries last: what decision 14 has not solved.
    """
    lasts = run.double.rules.tries * run.double.rules.patience_s
    twice: list[dict[str, Any]] = []
    for name, texts in wanted.items():
        shown = [one for one in run.double.villager(name).reached if one.kind == "text"]
        more = Counter(line for one in shown for line in one.text.splitlines()) - Counter(texts)
        for line, times in more.items():
            with_it = sorted((one.at, one.how) for one in shown if line in one.text.splitlines())
            asked = {one.answers for one in shown if one.answers and line in one.text.splitlines()}
            tries = [outcome for name, outcome in run.double.pushing.tries if name in asked]
            since = [round(with_it[0][0] - killed, 1) for killed in run.killed]
            near = any(-_BEFORE_A_KILL_S <= seconds <= lasts for seconds in since)
            came = [{"how": how, "s": round(at - with_it[0][0], 2)} for at, how in with_it]
            twice += [{"by_kill": near, "since_kills_s": since, "came": came, "tries": tries}] * times
    return twice


async def _answers(store: Store) -> tuple[dict[str, list[str]], set[str]]:
    """By openid, the answers on record in the order of the messages; and to whom WeChat has refused to carry one."""
    refused = select(Notice.reply_id).where(Notice.state == "failed")
    async with store.read() as session:
        rows = await session.execute(
            select(Address.value, Reply.text, Reply.id.in_(refused)).join(Conversation, Conversation.address_id == Address.id)
            .join(Turn, Turn.conversation_id == Conversation.id).join(Reply, Reply.turn_id == Turn.id).order_by(Turn.id)
        )  # fmt: skip
        found: dict[str, list[str]] = {}
        waiting = set()
        for openid, text, failed in rows:
            found.setdefault(str(openid), []).append(str(text))
            if failed:
                waiting.add(str(openid))
    return found, waiting
