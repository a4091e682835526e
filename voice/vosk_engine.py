"""Vosk: words while they are spoken, with a confidence for each."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from voice.audio import HEARING_RATE, Sound, has_speech, to_pcm16
from voice.errors import VoiceError
from voice.heard_text import tidy
from voice.recognise import Recogniser, RecogniserStream, Transcript, always

_BLOCK = HEARING_RATE // 4 * 2
"""bytes: a quarter of a second"""


class VoskRecogniser(Recogniser):
    """A Vosk model folder of any language."""

    name = "vosk"

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._model: Any = None

    def load(self) -> None:
        with self._lock:
            self._loaded()

    def close(self) -> None:
        with self._lock:
            self._model = None

    def transcribe(
        self, sound: Sound, *, expect: str = "", wanted: Callable[[], bool] = always
    ) -> Transcript:
        began = time.monotonic()
        heard = sound.at(HEARING_RATE)
        if not has_speech(heard):
            return Transcript("", 0.0, self.name, sound.seconds, time.monotonic() - began)
        stream = self.stream(expect=expect)
        pcm = to_pcm16(heard)
        with self._lock:
            for start in range(0, len(pcm), _BLOCK):
                if not wanted():
                    break
                stream.feed(pcm[start : start + _BLOCK])
            final = stream.finish()
        return Transcript(final.text, final.confidence, self.name, sound.seconds, time.monotonic() - began)

    def stream(self, *, expect: str = "") -> "VoskStream":
        """A fresh utterance. What is expected is not made use of: a phrase list shuts out every other word, a cry for help too."""
        with self._lock:
            model = self._loaded()
        from vosk import KaldiRecognizer

        recogniser = KaldiRecognizer(model, float(HEARING_RATE))
        recogniser.SetWords(True)
        return VoskStream(recogniser)

    def _loaded(self) -> Any:
        if self._model is None:
            from vosk import Model, SetLogLevel

            SetLogLevel(-1)
            try:
                self._model = Model(str(self._path))
            except Exception as error:  # Vosk raises bare Exception
                raise VoiceError(
                    "truncated_model", "识别模型 Vosk 读不进来，请运行：xiangyin models fetch vosk-small-cn"
                ) from error
        return self._model


class VoskStream(RecogniserStream):
    """One utterance; Vosk itself closes a sentence at a pause, and the text goes on with the next."""

    def __init__(self, recogniser: Any) -> None:
        self._recogniser = recogniser
        self._closed: list[str] = []
        self._words: list[float] = []
        self._bytes = 0
        self._took = 0.0

    @property
    def sentences(self) -> int:
        """How many sentences a pause has closed so far."""
        return len(self._closed)

    def feed(self, pcm16: bytes) -> str:
        whole = pcm16[: len(pcm16) // 2 * 2]
        began = time.monotonic()
        self._bytes += len(whole)
        partial = ""
        if whole:
            try:
                if self._recogniser.AcceptWaveform(whole):
                    self._close_sentence(self._recogniser.Result())
                partial = json.loads(self._recogniser.PartialResult()).get("partial", "")
            except Exception as error:  # Vosk raises bare Exception
                raise VoiceError("engine_failed", "语音识别出错了，请再试一次，仍不行就重启服务。") from error
        self._took += time.monotonic() - began
        return tidy(" ".join([*self._closed, partial]))

    def finish(self) -> Transcript:
        began = time.monotonic()
        self._close_sentence(self._recogniser.FinalResult())
        self._took += time.monotonic() - began
        confidence = sum(self._words) / len(self._words) if self._words else 0.0
        text = tidy(" ".join(self._closed))
        seconds = self._bytes / 2 / HEARING_RATE
        return Transcript(text, round(min(confidence, 1.0), 4), "vosk", seconds, self._took)

    def _close_sentence(self, result: str) -> None:
        said = json.loads(result)
        if said.get("text"):
            self._closed.append(said["text"])
            self._words += [word["conf"] for word in said.get("result", [])]
