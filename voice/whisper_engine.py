"""Whisper through faster-whisper: whole utterances, int8 on the CPU."""

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voice.audio import HEARING_RATE, Samples, Sound, speech_spans
from voice.errors import VoiceError
from voice.heard_text import is_invented, tidy, without_stutter
from voice.recognise import Recogniser, Transcript

_PAUSE = np.zeros(HEARING_RATE // 5, dtype=np.float32)


@dataclass(frozen=True)
class _Piece:
    text: str
    seconds: float
    confidence: float


class WhisperRecogniser(Recogniser):
    """A CTranslate2 Whisper model folder, made to hear Chinese."""

    name = "whisper"

    def __init__(self, path: Path, *, prompt: str = "", beam: int = 5, threads: int = 2) -> None:
        super().__init__()
        self._path = path
        self._prompt = prompt
        self._beam = beam
        self._threads = threads
        self._model: Any = None

    def load(self) -> None:
        with self._lock:
            self._loaded()

    def close(self) -> None:
        with self._lock:
            self._model = None

    def transcribe(self, sound: Sound) -> Transcript:
        began = time.monotonic()
        spoken = _spoken(sound.at(HEARING_RATE))
        pieces = self._decode(spoken) if len(spoken) else []
        text, confidence = _joined(pieces)
        return Transcript(text, confidence, self.name, sound.seconds, time.monotonic() - began)

    def _loaded(self) -> Any:
        if self._model is None:
            from faster_whisper import WhisperModel

            try:
                self._model = WhisperModel(
                    str(self._path),
                    device="cpu",
                    compute_type="int8",
                    cpu_threads=self._threads,
                    local_files_only=True,
                )
            except Exception as error:  # the library raises whatever its C++ side says
                raise VoiceError(
                    "truncated_model", "识别模型 Whisper 读不进来，请运行：xiangyin models fetch whisper-base"
                ) from error
        return self._model

    def _decode(self, spoken: Samples) -> list[_Piece]:
        with self._lock:
            model = self._loaded()
            try:
                segments, _ = model.transcribe(
                    spoken,
                    language="zh",
                    beam_size=self._beam,
                    initial_prompt=self._prompt or None,
                    condition_on_previous_text=False,
                    temperature=[0.0, 0.4],
                    vad_filter=False,
                )
                return [piece for segment in segments if (piece := self._piece(segment))]
            except Exception as error:  # the library raises whatever its C++ side says
                raise VoiceError("engine_failed", "语音识别出错了，请再试一次，仍不行就重启服务。") from error

    def _piece(self, segment: Any) -> _Piece | None:
        text, seconds = tidy(segment.text), max(segment.end - segment.start, 0.1)
        if is_invented(text, seconds, self._prompt):
            return None
        shorter, stuttered = without_stutter(text)
        confidence = math.exp(min(segment.avg_logprob, 0.0)) * (1.0 - segment.no_speech_prob)
        return _Piece(shorter, seconds, confidence * (0.5 if stuttered else 1.0))


def _spoken(sound: Sound) -> Samples:
    """Only where people speak, short pauses between: Whisper invents words over silence."""
    parts: list[Samples] = []
    for start, end in speech_spans(sound):
        parts += [sound.samples[start:end], _PAUSE]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)


def _joined(pieces: list[_Piece]) -> tuple[str, float]:
    if not pieces:
        return "", 0.0
    seconds = sum(piece.seconds for piece in pieces)
    confidence = sum(piece.confidence * piece.seconds for piece in pieces) / seconds
    return tidy(" ".join(piece.text for piece in pieces)), round(min(max(confidence, 0.0), 1.0), 4)
