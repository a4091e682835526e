"""How long one waits for an answer on the telephone, how often one is cut off, how soon the voice stops: real SIP calls
on loopback into a real service with real Rasa, heard at the caller's ear."""

import asyncio
import json
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import numpy as np

from connectors.bench.noises import noises
from connectors.bench.phone import Phone, call, free_port, sip_settings
from connectors.bench.speed import dialogue_ready
from connectors.bench.turns_spoken import VOICES, Spoken, slow, turns
from connectors.errors import ConnectorError
from connectors.settings import ROOT, Settings
from connectors.trial import Trial, trial
from voice.activity import VoiceActivity, load_activity
from voice.audio import Samples, Sound
from voice.errors import VoiceError
from voice.heard_text import finished
from voice.kokoro import Kokoro
from voice.models import ModelStore
from voice.smart_turn import SmartTurn
from voice.turn_taking import Began, Ended, Event, Paused, TurnTaker
from voice.whisper_engine import WhisperRecogniser

TURNS, PER_CALL = 64, 8
CLIPS = ROOT.parent / "shared" / "data" / "clips"
_GIVES_UP_S = 15.0
_INTERRUPTS_AFTER_S = 0.7
_SLOW = (
    "我想问一下，养老金这个月，怎么还没有到",
    "我家老头子，昨天晚上，一直说头晕",
    "屋顶漏雨了，漏了好几天，请你们来看一看",
    "降压药吃完了，村里买不到，镇上又太远",
    "我孙子打电话来，说要钱，我心里没有底",
    "水管冻裂了，家里没有水，要怎么办才好",
)
"""What is told slowly: the clauses are whole, so that sound alone can't know that more comes."""


@dataclass
class Measured:
    """What came out of the calls."""

    waits: list[float] = field(default_factory=list)
    """seconds from the last voice sent to the first sound of the answer, as the service counts them"""
    wire: list[float] = field(default_factory=list)
    """what the ear counted more, where nothing but the answer was heard"""
    parts: dict[str, list[float]] = field(default_factory=dict)
    barge_ins: list[float] = field(default_factory=list)
    missed: int = 0
    """utterances that got no answer of their own"""


async def bench_voice(settings: Settings, say: Callable[[str], None]) -> dict[str, float]:
    """The figures of the issue, in seconds and fractions."""
    store = ModelStore(settings.models)
    kokoro = Kokoro(store.path("kokoro-zh"))
    with tempfile.TemporaryDirectory(prefix="xiangyin-said-") as folder:
        say("把要说的话备好……")
        spoken = await asyncio.to_thread(turns, CLIPS, kokoro, Path(folder), TURNS)
        measured = await _called(settings, spoken, Path(folder), say)
    cutoffs, false_barge_in = await asyncio.to_thread(_patience, store, kokoro)
    return _figures(measured, cutoffs, false_barge_in)


def _figures(measured: Measured, cutoffs: float, false_barge_in: float) -> dict[str, float]:
    if not measured.waits:
        raise ConnectorError("bench", "一句都没有答上来。")
    wire = statistics.median(measured.wire) if measured.wire else 0.0
    waits = sorted(wait + wire for wait in measured.waits)
    middle = {f"{key}_s": round(statistics.median(value), 3) for key, value in measured.parts.items()}
    return {
        "turns": len(waits),
        "p50_s": round(statistics.median(waits), 3),
        "p95_s": round(statistics.quantiles(waits, n=20)[-1], 3),
        **middle,
        "cutoffs": round(cutoffs, 4),
        "barge_in_ms": round(statistics.median(measured.barge_ins) * 1000) if measured.barge_ins else 0,
        "false_barge_in": round(false_barge_in, 4),
    }


# -- calls -------------------------------------------------------------------------------------------------


async def _called(
    settings: Settings, spoken: Sequence[Spoken], folder: Path, say: Callable[[str], None]
) -> Measured:
    port, measured = free_port(), Measured()
    async with trial(settings, **sip_settings(port)) as one, aiohttp.ClientSession() as http:
        await dialogue_ready(one, http)
        await until_ready(one)
        await until_prepared(one, say)
        for number, said in enumerate(_calls(spoken), 1):
            say(f"第 {number} 通电话……")
            await _one_call(one, port, said, folder, measured)
    slowest = sorted(zip(measured.waits, *measured.parts.values(), strict=True), reverse=True)[:6]
    say(f"最慢的几句（共，{'，'.join(measured.parts)}）：{[list(row) for row in slowest]}")
    say(
        f"没有自己的回答的：{measured.missed}；打断到安静（毫秒）：{[round(b * 1000) for b in sorted(measured.barge_ins)]}"
    )
    return measured


def _calls(spoken: Sequence[Spoken]) -> list[Sequence[Spoken]]:
    """One person in a call, as it is: whoever is waited for, by what was learned from their pauses, is one and the same."""
    people: dict[str, list[Spoken]] = {}
    for one in spoken:
        people.setdefault(one.who, []).append(one)
    return [said[at : at + PER_CALL] for said in people.values() for at in range(0, len(said), PER_CALL)]


async def until_ready(one: Trial, within_s: float = 120.0) -> None:
    """Until the telephone has its first sentences; raises ConnectorError."""
    end = asyncio.get_running_loop().time() + within_s
    while not log_lines(one, "telephone.ready"):
        if asyncio.get_running_loop().time() > end:
            raise ConnectorError("bench", "电话一直没有备好。")
        await asyncio.sleep(0.1)


async def until_prepared(one: Trial, say: Callable[[str], None]) -> None:
    """Until all that answers begin with is rendered ahead, as where a service has run for a quarter of an hour; raises
    ConnectorError.

    What was rendered once is kept beside the models, so that only the first time takes long.
    """
    told: set[float] = set()
    while not log_lines(one, "voice.prepared"):
        if log_lines(one, "voice.not_prepared") or one.process is None or one.process.returncode is not None:
            raise ConnectorError("bench", "没有能用的语音。请运行 xiangyin doctor 看缺什么。")
        for line in log_lines(one, "voice.preparing"):
            if line["done"] not in told:
                told.add(line["done"])
                say(f"把回答开头的话先念好：{line['done']} / {line['of']} 句……")
        await asyncio.sleep(0.5)


def log_lines(one: Trial, action: str) -> list[dict[str, float]]:
    """What the service has put in its log under this action."""
    lines = [json.loads(line) for line in one.printed if line.startswith("{")]
    return [line for line in lines if line.get("action") == action]


async def _one_call(
    one: Trial, port: int, spoken: Sequence[Spoken], folder: Path, measured: Measured
) -> None:
    async with call(port, folder, buffered=False) as phone:
        await phone.hear(30, 1.5)
        for at, utterance in enumerate(spoken):
            if at and at % 2:  # every second utterance comes while the voice is speaking
                interrupted = await _interrupt(phone, utterance, measured)
                said_at = interrupted
            else:
                said_at = (await phone.say(utterance.path))["at"]
            # Only now: what is answered while it is still said is an answer to its first half, or to what was said before; taken
            # for this one's, the next would be said too soon, and every one after it.
            before = len(log_lines(one, "telephone.answered"))
            await _answered(one, phone, before, said_at, measured)
        await phone.hang_up()


async def _interrupt(phone: Phone, utterance: Spoken, measured: Measured) -> float:
    """Speak over the voice; when it fell silent, and when the words were out."""
    await phone.wait(_INTERRUPTS_AFTER_S)
    speaking = await phone.wait(0.0)
    began = await phone.begin(utterance.path)
    if speaking["at"] - speaking["quiet"] < 0.1:
        _, heard = await phone.hear(1.2, 30)
        measured.barge_ins.append(max(heard["quiet"] - began["at"], 0.0))
    return float((await phone.until_said())["at"])


async def _answered(one: Trial, phone: Phone, before: int, said_at: float, measured: Measured) -> None:
    """Wait for the answer's first sound; counted as the service counts, and once more by ear."""
    end = asyncio.get_running_loop().time() + _GIVES_UP_S
    while len(lines := log_lines(one, "telephone.answered")) <= before:
        if asyncio.get_running_loop().time() > end:
            measured.missed += 1
            return
        await phone.wait(0.02)
    told = lines[before]
    for key in ("patience", "recognition", "dialogue", "synthesis"):
        measured.parts.setdefault(key, []).append(told[key])
    total = sum(told[key] for key in ("patience", "recognition", "dialogue", "synthesis"))
    measured.waits.append(total)
    heard = await phone.until_sound(2.0)
    if not told["signs"] and heard["loud"] > said_at:
        measured.wire.append(heard["loud"] - said_at - total)


# -- patience and noise: by the sound's own clock, faster than it sounds -------------------------------------


def _patience(store: ModelStore, kokoro: Kokoro) -> tuple[float, float]:
    """(share of pauses in slow speech that were taken for the end, share of noises that stopped the voice)"""
    session = load_activity()
    try:
        smart: Callable[[Samples], float] = SmartTurn(store.path("smart-turn"))
    except VoiceError:
        smart = lambda _speech: 0.5  # noqa: E731
    ear = WhisperRecogniser(store.path("whisper-base"))
    cut = pauses = 0
    for at, voice in enumerate(VOICES):
        taker = TurnTaker(VoiceActivity(session), smart)
        for sound, where in slow(kokoro, _SLOW, voice, at):
            ends = [event.at for event in listen(taker, sound, ear) if isinstance(event, Ended)]
            begun = taker.at - len(sound) / 16000
            pauses += len(where)
            cut += sum(any(start <= end - begun <= stop for end in ends) for start, stop in where)
    made, own = noises(CLIPS), slow(kokoro, _SLOW[:1], VOICES[0], 0)[0][0]
    return cut / pauses, sum(_interrupts(session, smart, own, noise) for noise in made) / len(made)


def listen(taker: TurnTaker, sound: Samples, ear: WhisperRecogniser) -> list[Event]:
    """As a live talk does it: the words of each pause are weighed too."""
    events: list[Event] = []
    for start in range(0, len(sound), 512):
        for event in taker.feed(sound[start : start + 512]):
            events.append(event)
            if isinstance(event, Paused):
                words = ear.transcribe(Sound(event.speech, 16000)).text
                taker.weigh_words(finished(words, event.voiced_s))
    return events


def _interrupts(session: object, smart: Callable[[Samples], float], own: Samples, noise: Samples) -> bool:
    """Whether a noise stops the voice that answers somebody's `own` words."""
    taker = TurnTaker(VoiceActivity(session), smart)
    taker.feed(own)
    taker.assistant_speaks = True
    return any(isinstance(event, Began) for event in taker.feed(np.asarray(noise, np.float32)))
