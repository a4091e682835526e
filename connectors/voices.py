"""The ears and the voice of a running service: loaded once in the background, used off the event loop."""

import asyncio
import os
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import structlog

from connectors.settings import Settings
from voice.audio import Sound, decode, to_wav
from voice.choice import choose
from voice.errors import VoiceError
from voice.models import ModelStore
from voice.recognise import Recogniser, Transcript
from voice.speak import Speaker

log = structlog.get_logger()

T = TypeVar("T")

_EARS_NICE, _MOUTH_NICE = 5, 15
"""Words that came in, perhaps of danger, are read before anything is said, whatever else the machine does."""
_TOLD_EVERY = 100
KEPT_SOUNDS = 64
"""So many sentences stay in memory for 再说一遍; what was said to a person is never written to disk."""


class Voices:
    """Hearing and speaking for every connector of one process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.models = ModelStore(settings.models, hub_mirror=settings.hub_mirror or None)
        # Hearing must not wait behind speaking: while an answer is spoken the next words may come in.
        self._ears = ThreadPoolExecutor(1, "ears", _behind_the_loop, (_EARS_NICE,))
        self._mouth = ThreadPoolExecutor(1, "mouth", _behind_the_loop, (_MOUTH_NICE,))
        self._recogniser: asyncio.Future[Recogniser] | None = None
        self._speaker: asyncio.Future[Speaker] | None = None
        self._preparing: asyncio.Future[None] | None = None
        self._waiting = 0
        self._lull = asyncio.Event()
        self._lull.set()
        self._sounds: OrderedDict[tuple[str, float, float], bytes] = OrderedDict()

    def start(self, *fixed: list[str]) -> None:
        """Begin to load both, then to render the fixed sentences ahead, one list after another; errors show when they
        are used."""
        self._recogniser = asyncio.ensure_future(self._off_loop(self._ears, self._load_recogniser))
        self._speaker = asyncio.ensure_future(self._off_loop(self._mouth, self._load_speaker))
        self._recogniser.add_done_callback(_mention)
        self._speaker.add_done_callback(_mention)
        self._preparing = asyncio.ensure_future(self._prepare(*fixed))

    async def _prepare(self, *lists: list[str]) -> None:
        """One sentence at a time and only while nobody waits, so that a real answer never stands behind them."""
        try:
            speaker = await self.speaker()
            for sentences in lists:
                for at, sentence in enumerate(sentences):
                    if not at % _TOLD_EVERY:
                        log.info("voice.preparing", done=at, of=len(sentences))
                    if not speaker.is_prepared(sentence):
                        await self._lull.wait()
                        await self._off_loop(self._mouth, partial(speaker.prepare, [sentence]))
                log.info("voice.prepared", sentences=len(sentences))
        except VoiceError as error:
            log.warning("voice.not_prepared", code=error.code)

    async def hear(self, audio: bytes, *, expect: str = "") -> Transcript:
        """Recognise one recording of any common format, by every engine there is; raises VoiceError."""
        recogniser = (await self.recogniser()).thorough()
        return await self._off_loop(self._ears, lambda: recogniser.transcribe(decode(audio), expect=expect))

    async def recogniser(self) -> Recogniser:
        """The loaded recogniser; waits for it, raises VoiceError where there is none."""
        if self._recogniser is None:
            self._recogniser = asyncio.ensure_future(self._off_loop(self._ears, self._load_recogniser))
        return await asyncio.shield(self._recogniser)

    async def listen(self, work: Callable[[], T]) -> T:
        """Run a step of a recogniser's stream off the loop."""
        return await self._off_loop(self._ears, work)

    async def speak(self, sentence: str, *, speed: float, volume: float) -> bytes:
        """The sentence as WAV bytes; raises VoiceError."""
        key = (sentence, round(speed, 3), round(volume, 3))
        if key not in self._sounds:
            speaker = await self.speaker()
            # What lies on disk does not wait behind what is being rendered, perhaps for somebody else.
            sound = speaker.prepared(sentence, speed=speed, volume=volume) or await self.say(
                sentence, speed=speed, volume=volume
            )
            self._sounds[key] = to_wav(sound)
            while len(self._sounds) > KEPT_SOUNDS:
                self._sounds.popitem(last=False)
        return self._sounds[key]

    async def say(self, text: str, *, speed: float = 1.0, volume: float = 1.0) -> Sound:
        """The text as sound; raises VoiceError."""
        with self.undisturbed():
            speaker = await self.speaker()
            return await self._off_loop(self._mouth, lambda: speaker.say(text, speed=speed, volume=volume))

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Nothing is rendered ahead meanwhile: for as long as somebody waits, or is on the telephone."""
        self._waiting += 1
        self._lull.clear()
        try:
            yield
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._lull.set()

    async def is_ready(self, sentence: str, *, speed: float = 1.0) -> bool:
        """Whether the sentence lies rendered on disk."""
        return (await self.speaker()).is_prepared(sentence, speed=speed)

    async def fixed(self, sentence: str) -> Sound:
        """A sentence that is the same for everybody: rendered once and kept on disk; raises VoiceError."""
        with self.undisturbed():
            speaker = await self.speaker()
            await self._off_loop(self._mouth, lambda: speaker.prepare([sentence]))
            return await self._off_loop(self._mouth, lambda: speaker.say(sentence))

    async def speaker(self) -> Speaker:
        """The loaded voice; waits for it, raises VoiceError where there is none."""
        if self._speaker is None:
            self._speaker = asyncio.ensure_future(self._off_loop(self._mouth, self._load_speaker))
        return await asyncio.shield(self._speaker)

    async def close(self) -> None:
        """Stop both; what is being rendered is finished, what waits is dropped."""
        for begun in (self._preparing, self._recogniser, self._speaker):
            if begun is not None:
                begun.cancel()
        for pool in (self._ears, self._mouth):
            pool.shutdown(wait=False, cancel_futures=True)

    def _load_recogniser(self) -> Recogniser:
        recogniser = choose(self.models, prefer=self._settings.recogniser)
        recogniser.load()
        return recogniser

    def _load_speaker(self) -> Speaker:
        speaker = Speaker(self.models, prefer=self._settings.voice)
        speaker.load()
        return speaker

    @staticmethod
    async def _off_loop(pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, work)


def _behind_the_loop(niceness: int) -> None:
    """This thread, and those that its models start, let the loop go first: it keeps time for everybody.

    Else one who is answered by voice keeps all others waiting: rendering takes every core there is.
    """
    with suppress(
        OSError, AttributeError
    ):  # a sandbox may forbid it, and on other systems it would be the whole process
        if sys.platform == "linux":
            os.nice(niceness)


def _mention(loading: "asyncio.Future[Any]") -> None:
    """A missing voice is worth a line at start, and an error is never 'never retrieved'."""
    if not loading.cancelled() and (error := loading.exception()) is not None:
        log.error(
            "voice.unavailable", code=error.code if isinstance(error, VoiceError) else type(error).__name__
        )
