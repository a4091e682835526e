"""Voices of people who call, and an ear for what they hear."""

import asyncio
import hashlib
from collections.abc import Callable
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from county import until
from pypinyin import lazy_pinyin

from voice.audio import Sound, decode, save_wav
from voice.heard_text import words_only
from voice.models import ModelStore
from voice.speak import Speaker
from voice.telephone import LINE_RATE
from voice.whisper_engine import WhisperRecogniser

GREETING = "您好，我是乡音。有什么事，您慢慢跟我说。"
ASKED = "降压药吃完了，村里买不到。"
_READ_AGAIN_S = 1.0


class Mouths:
    """Voices of people who call, rendered once; and an ear for what they hear."""

    def __init__(self, models: ModelStore, folder: Path) -> None:
        self._speaker = Speaker(models, voice="zm_yunxi", prefer="kokoro", cache=folder)
        self._ear = WhisperRecogniser(models.path("whisper-base"))
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def wav(self, text: str, *, pauses: float = 0.0, seconds: float | None = None) -> str:
        """A file at 8 kHz: the text, silence at each `…` of it; `seconds`: only its beginning."""
        name = hashlib.sha256(f"{text} {pauses} {seconds}".encode()).hexdigest()[:16]
        path = self._folder / f"{name}.wav"
        if not path.exists():
            parts = [self._speaker.say(piece).at(LINE_RATE).samples for piece in text.split("…")]
            save_wav(Sound(_joined(parts, pauses, seconds), LINE_RATE), path)
        return str(path)

    async def hear(self, recorded: Callable[[], Sound], meant: str) -> None:
        """Until this, about, is in what is being recorded."""
        read = 0

        async def said() -> bool:
            nonlocal read
            sound = recorded()
            if len(sound.samples) - read < _READ_AGAIN_S * sound.rate:  # only after another second of it
                return False
            read = len(sound.samples)
            heard = await asyncio.to_thread(self._ear.transcribe, sound)
            return like(heard.text, meant) > 0.5

        await until(said, within=60)

    def words(self, heard: Path | bytes) -> str:
        """What a person would have heard, about."""
        return words_only(self._ear.transcribe(decode(heard)).text)


def _joined(parts: list[Any], pauses: float, seconds: float | None) -> Any:
    import numpy as np

    gap = np.zeros(round(pauses * LINE_RATE), np.float32)
    sound = np.concatenate([piece for part in parts for piece in (part, gap)][: 2 * len(parts) - 1])
    return sound if seconds is None else sound[: round(seconds * LINE_RATE)]


def like(heard: str, meant: str) -> float:
    """How much of what was meant is in what was heard, by its sound, 0 to 1."""
    sounds, wanted = lazy_pinyin(words_only(heard)), lazy_pinyin(words_only(meant))
    blocks = SequenceMatcher(None, sounds, wanted, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks) / max(len(wanted), 1)
