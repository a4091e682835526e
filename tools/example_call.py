"""One whole conversation by telephone, made again: writes docs/example-call.md, its sound, and the picture of its time line.

A voice of the synthesiser calls a real service with real Rasa by real SIP, on this machine; nobody's own words are in it.
"""

import asyncio
import tempfile
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
from sqlalchemy import select

from connectors.bench.phone import call, free_port, sip_settings
from connectors.bench.speed import dialogue_ready
from connectors.bench.voice import log_lines, until_ready
from connectors.errors import ConnectorError
from connectors.settings import ROOT, read_settings
from connectors.trial import Trial, trial
from handoff.model.words import NEED_ZH, RISK_ZH, Need, Risk
from handoff.store.database import Store
from handoff.store.sealed import use_key
from handoff.store.tables import Case, CaseEvent, Reply, Turn
from tools.plots import timeline_plot
from voice.audio import Samples, Sound, save_wav, to_mp3
from voice.kokoro import RATE, Kokoro
from voice.models import ModelStore
from voice.speech_text import speakable
from voice.telephone import LINE_RATE, over_telephone

DOCS = ROOT / "docs"
PICTURE, SOUND = DOCS / "pictures" / "example-call.svg", DOCS / "pictures" / "example-call.mp3"
VOICE, PACE = "zm_yunyang", 0.8
SAID = (
    "喂，我想问一下，我那个养老金，这个月怎么还没有到？",
    "是我自己的，我今年七十三了。",
    "哎呀，我胸口疼得厉害，气都喘不上来。",
    "我女儿在家里。",
)
"""What the old man says, each when the other side has finished."""
_LOUD, _STEP_S, _GAP_S = 0.006, 0.02, 0.35


@dataclass
class Told:
    """What is in the store afterwards."""

    turns: list[Turn]
    replies: list[Reply]
    cases: list[Case]
    events: list[CaseEvent]


async def main() -> None:
    """Call, and write down what happened."""
    settings, port = read_settings(), free_port()
    mouth = await asyncio.to_thread(Kokoro, ModelStore(settings.models).path("kokoro-zh"))
    with tempfile.TemporaryDirectory(prefix="xiangyin-example-") as scratch:
        folder = Path(scratch)
        said = [
            await asyncio.to_thread(_spoken, mouth, text, folder / f"{at}.wav")
            for at, text in enumerate(SAID)
        ]
        async with trial(settings, **sip_settings(port)) as one, aiohttp.ClientSession() as http:
            await dialogue_ready(one, http)
            await until_ready(one)
            began = await _call(port, folder, said)
            told = await _told(one)
            waits = log_lines(one, "telephone.answered")
        left, right = await asyncio.to_thread(_sides, folder / "both.wav")
    await asyncio.to_thread(_write, began, left, right, told, waits)


def _spoken(mouth: Kokoro, text: str, path: Path) -> str:
    save_wav(over_telephone(Sound(mouth.speak(speakable(text), VOICE, PACE), RATE)), path)
    return str(path)


async def _call(port: int, folder: Path, said: list[str]) -> datetime:
    """When it was answered."""
    async with call(port, folder) as phone:
        began = datetime.now(UTC)
        await phone.hear(30, 3.0)
        for wav in said:
            await phone.say(wav)
            await phone.hear(40, 3.0)
        await phone.record(folder / "both.wav")
        await phone.hang_up()
    return began


async def _told(one: Trial) -> Told:
    # The trial's own store, whatever else is set here.
    own = read_settings(data=one.folder, database_url="", secret_key="")
    use_key(own.key)
    store = Store(own.store_url)
    try:
        async with store.read() as session:
            return Told(
                [*await session.scalars(select(Turn).order_by(Turn.id))],
                [*await session.scalars(select(Reply).order_by(Reply.created_at))],
                [*await session.scalars(select(Case).order_by(Case.id))],
                [*await session.scalars(select(CaseEvent).order_by(CaseEvent.id))],
            )
    finally:
        await store.close()


def _sides(path: Path) -> tuple[Samples, Samples]:
    with wave.open(str(path)) as file:
        both = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2).astype(np.float32)
    return both[:, 0] / 32768, both[:, 1] / 32768


def _spans(side: Samples) -> Iterator[tuple[float, float]]:
    """From and to, in seconds, where there is a voice."""
    step = round(_STEP_S * LINE_RATE)
    steps = side[: len(side) // step * step].reshape(-1, step)
    loud = np.flatnonzero(np.sqrt((steps**2).mean(axis=1)) > _LOUD) * _STEP_S
    begun = last = None
    for at in loud.tolist():
        if last is not None and begun is not None and at - last > _GAP_S:
            yield begun, last + _STEP_S
            begun = at
        begun, last = at if begun is None else begun, at
    if begun is not None and last is not None:
        yield begun, last + _STEP_S


def _marks(began: datetime, told: Told) -> list[tuple[float, str]]:
    def at(when: datetime) -> float:
        return max((when.replace(tzinfo=when.tzinfo or UTC) - began).total_seconds(), 0.0)

    marks = [(at(turn.received_at), f"听懂：{_matter(turn.need, turn.risk, '险情')}") for turn in told.turns]
    numbers = {case.id: case.number for case in told.cases}
    opened = [event for event in told.events if event.kind == "opened"]
    return marks + [(at(event.at), f"立案 {numbers[event.case_id]}") for event in opened]


def _matter(need: str | None, risk: str, unnamed: str) -> str:
    return f"{NEED_ZH[Need(need)] if need else unnamed}，{RISK_ZH[Risk(risk)]}"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _write(began: datetime, left: Samples, right: Samples, told: Told, waits: list[dict[str, Any]]) -> None:
    if not len(told.turns) == len(waits) == len(SAID):
        raise ConnectorError(
            "example", f"说了 {len(SAID)} 句，听成 {len(told.turns)} 句、答了 {len(waits)} 句。请再来一次。"
        )
    seconds = len(right) / LINE_RATE
    sides = [("老人", [*_spans(left)]), ("乡音", [*_spans(right)])]
    timeline_plot(PICTURE, sides, _marks(began, told), seconds)
    SOUND.write_bytes(to_mp3(Sound(np.clip(left * 0.9 + right * 0.9, -1, 1), LINE_RATE)))
    of_turn = {reply.turn_id: reply for reply in told.replies}
    greeting = next((reply.text for reply in told.replies if reply.turn_id is None), "")
    lines = [
        "# One conversation by telephone", "",
        "Made by `make example`: a voice of the synthesiser calls a real service with real Rasa by SIP on one machine. Heard by",
        f"Whisper-base at telephone quality. {seconds:.0f} seconds; [its sound](pictures/example-call.mp3), the old man and 乡音 in one.", "",
        "![Who spoke when, and what was decided](pictures/example-call.svg)", "",
        "Times are the service's own, to the first sound of the answer; after two seconds a short sound says that it is working.", "",
        "| said | heard | need, risk | answered | time to the answer |", "| --- | --- | --- | --- | --- |",
        f"| | | | {greeting} | |",
    ]  # fmt: skip
    for text, turn, took in zip(SAID, told.turns, waits, strict=True):
        reply = of_turn.get(turn.id)
        wait = sum(took[key] for key in ("patience", "recognition", "dialogue", "synthesis"))
        lines.append(
            f"| {text} | {_cell(turn.text)} | {_matter(turn.need, turn.risk, '–')} | {_cell(reply.text) if reply else '–'} | {wait:.1f} s |"
        )
    cases = [f"{case.number}（{_matter(case.need, case.risk, '–')}）" for case in told.cases]
    lines += ["", "Cases afterwards: " + "、".join(cases) + ".", ""]
    (DOCS / "example-call.md").write_text("\n".join(lines), "utf-8")


if __name__ == "__main__":
    asyncio.run(main())
