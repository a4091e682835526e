"""Hearing: one interface for every recogniser."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from voice.audio import HEARING_RATE, Sound, from_pcm16

log = structlog.get_logger("voice.recognise")


@dataclass(frozen=True)
class Transcript:
    """What was heard."""

    text: str
    """Simplified Chinese without spaces; empty when nobody spoke"""
    confidence: float
    """0..1; 0 when nobody spoke"""
    engine: str
    """vosk or whisper"""
    seconds: float
    """of audio"""
    took: float
    """seconds of decoding"""
    others: tuple[str, ...] = ()
    """What else the same sound may have been, the likelier first; by this engine or another"""


def always() -> bool:
    """Whatever is read is still wanted."""
    return True


class RecogniserStream(ABC):
    """One utterance on its way in. Not for several threads at once."""

    @abstractmethod
    def feed(self, pcm16: bytes) -> str:
        """Take 16 kHz mono 16-bit PCM; the text so far, empty where the engine has no partial results."""

    @abstractmethod
    def finish(self) -> Transcript:
        """End of the utterance: the final words."""


class Recogniser(ABC):
    """An engine with its model. `transcribe` may be called from any thread; one decodes at a time."""

    name: str

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @abstractmethod
    def load(self) -> None:
        """Bring the model into memory, once; raises VoiceError engine_failed or truncated_model."""

    @abstractmethod
    def transcribe(
        self, sound: Sound, *, expect: str = "", wanted: Callable[[], bool] = always
    ) -> Transcript:
        """Blocking; loads on first use. Raises VoiceError engine_failed.

        `expect`: words that are likely just now; `wanted`: looked at in between: what nobody waits for any more is given up, and
        nothing is heard.
        """

    @abstractmethod
    def close(self) -> None:
        """Give the memory back."""

    def thorough(self) -> "Recogniser":
        """The same ear, for when nobody waits: every opinion there is, however long it takes."""
        return self

    def stream(self, *, expect: str = "") -> RecogniserStream:
        """A fresh utterance."""
        return _CollectedStream(self, expect)


class _CollectedStream(RecogniserStream):
    """For an engine that only decodes whole utterances: collect, and decode at the end."""

    def __init__(self, recogniser: Recogniser, expect: str) -> None:
        self._recogniser = recogniser
        self._expect = expect
        self._pcm = bytearray()

    def feed(self, pcm16: bytes) -> str:
        self._pcm += pcm16
        return ""

    def finish(self) -> Transcript:
        sound = from_pcm16(bytes(self._pcm), HEARING_RATE)
        return self._recogniser.transcribe(sound, expect=self._expect)
