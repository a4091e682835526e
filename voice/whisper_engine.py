"""Whisper through faster-whisper: whole utterances, int8 on the CPU.

Whisper reads thirty seconds at once and is mostly given two or three, filled up with nothing. What people say is read
with no more room than it needs: five times as fast, and as well (docs/decisions/0013). Where it says the
same over and over, or stops at a pause in the middle, it is read again the long way.
"""

import math
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from voice.audio import HEARING_RATE, Samples, Sound, speech_spans
from voice.errors import VoiceError
from voice.heard_text import is_invented, tidy, without_stutter, words_only
from voice.recognise import Recogniser, Transcript, always

_PAUSE = np.zeros(HEARING_RATE // 5, dtype=np.float32)
_SHORT_S = 20.0
"""What is longer is read the long way."""
_ROOM_S, _LEAST_S = 1.0, 4.0
"""Room after the last word, and in all: with less, the last words are read twice."""
_FRAMES_S = 100
_LOOPS = 2.4
"""Text that a compressor makes so many times smaller says the same over and over."""
_FASTEST_TOKENS = 14
"""tokens a second that no mouth reaches"""
_SLOWEST, _MAY_END_EARLY_S = 2.6, 4.0
"""Fewer characters a second than that, in what is longer than that: the reading has probably ended at a pause, and the
rest of what was said would be lost."""
_READINGS = 3
"""So many readings of one utterance are told: the best and two others. Four others found no more danger than two (decision 16)."""


@dataclass(frozen=True)
class _Piece:
    text: str
    seconds: float
    confidence: float
    others: tuple[str, ...] = ()


class WhisperRecogniser(Recogniser):
    """A CTranslate2 Whisper model folder, made to hear Chinese."""

    name = "whisper"

    def __init__(self, path: Path, *, prompt: str = "", beam: int = 3, threads: int = 1) -> None:
        super().__init__()
        self._path = path
        self._prompt = prompt
        self._beam = beam
        self._threads = threads
        self._model: Any = None
        self._tokenizer: tuple[Any, Any] | None = None

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
        spoken = _spoken(sound.at(HEARING_RATE))
        prompt = "，".join(filter(None, (self._prompt, expect)))
        pieces = self._decode(spoken, prompt, wanted) if len(spoken) else []
        text, confidence = _joined(pieces)
        others = tuple(other for piece in pieces for other in piece.others if len(pieces) == 1)
        took = time.monotonic() - began
        return Transcript(text, confidence, self.name, sound.seconds, took, others)

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

    def _decode(self, spoken: Samples, prompt: str, wanted: Callable[[], bool]) -> list[_Piece]:
        with self._lock:
            model = self._loaded()
            try:
                quick = self._read_short(model, spoken, prompt) if wanted() else []
                if quick is not None or not wanted():
                    return quick or []
                segments, _ = model.transcribe(
                    spoken,
                    language="zh",
                    beam_size=self._beam,
                    initial_prompt=prompt or None,
                    condition_on_previous_text=False,
                    temperature=[0.0, 0.4],
                    vad_filter=False,
                )
                return [piece for segment in segments if (piece := self._piece(segment, prompt))]
            except Exception as error:  # the library raises whatever its C++ side says
                raise VoiceError("engine_failed", "语音识别出错了，请再试一次，仍不行就重启服务。") from error

    def _read_short(self, model: Any, spoken: Samples, prompt: str) -> list[_Piece] | None:
        """None where it is too long, or where what came out says the same over and over."""
        seconds = len(spoken) / HEARING_RATE
        if seconds > _SHORT_S:
            return None
        tokenizer, unwanted = self._tokens(model)
        before = tokenizer.encode(" " + prompt) if prompt else []
        asked = model.get_prompt(tokenizer, before, without_timestamps=True)
        room = round(max(seconds + _ROOM_S, _LEAST_S) * _FRAMES_S / 2) * 2
        shown = model.feature_extractor(spoken)[:, :room]
        shown = np.pad(shown, ((0, 0), (0, room - shown.shape[1])))
        (read,) = model.model.generate(
            model.encode(shown), [asked], beam_size=self._beam, length_penalty=1.0, return_scores=True,
            num_hypotheses=min(_READINGS, self._beam),
            return_no_speech_prob=True, suppress_blank=True, suppress_tokens=unwanted,
            max_length=min(448, len(asked) + round(seconds * _FASTEST_TOKENS) + 12),
        )  # fmt: skip
        readings = [[token for token in ids if token < tokenizer.eot] for ids in read.sequences_ids]
        text, *others = map(tokenizer.decode, readings)
        likely = read.scores[0] * len(readings[0]) / (len(readings[0]) + 1)
        if _repetitive(text) or _ended_early(text, seconds):
            return None
        piece = self._made(text, seconds, likely, read.no_speech_prob, prompt)
        if piece is None:
            return []
        tidied = dict.fromkeys(tidy(other) for other in others if not _repetitive(other))
        kept = (other for other in tidied if other != piece.text and not is_invented(other, seconds, prompt))
        return [replace(piece, others=tuple(kept))]

    def _tokens(self, model: Any) -> tuple[Any, Any]:
        """The tokenizer, and the tokens that are never printed; made once."""
        if self._tokenizer is None:
            from faster_whisper.tokenizer import Tokenizer
            from faster_whisper.transcribe import get_suppressed_tokens

            tokenizer = Tokenizer(model.hf_tokenizer, True, task="transcribe", language="zh")
            self._tokenizer = tokenizer, get_suppressed_tokens(tokenizer, [-1])
        return self._tokenizer

    def _piece(self, segment: Any, prompt: str) -> _Piece | None:
        seconds = max(segment.end - segment.start, 0.1)
        return self._made(segment.text, seconds, segment.avg_logprob, segment.no_speech_prob, prompt)

    def _made(self, said: str, seconds: float, likely: float, no_speech: float, prompt: str) -> _Piece | None:
        text = tidy(said)
        if is_invented(text, seconds, prompt):
            return None
        shorter, stuttered = without_stutter(text)
        confidence = math.exp(min(likely, 0.0)) * (1.0 - no_speech)
        return _Piece(shorter, seconds, confidence * (0.5 if stuttered else 1.0))


def _spoken(sound: Sound) -> Samples:
    """Only where people speak, short pauses between: Whisper invents words over silence."""
    parts: list[Samples] = []
    for start, end in speech_spans(sound):
        parts += [sound.samples[start:end], _PAUSE]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)


def _ended_early(text: str, seconds: float) -> bool:
    return seconds > _MAY_END_EARLY_S and len(words_only(text)) / seconds < _SLOWEST


def _repetitive(text: str) -> bool:
    raw = text.encode()
    return len(raw) / max(len(zlib.compress(raw)), 1) > _LOOPS


def _joined(pieces: list[_Piece]) -> tuple[str, float]:
    if not pieces:
        return "", 0.0
    seconds = sum(piece.seconds for piece in pieces)
    confidence = sum(piece.confidence * piece.seconds for piece in pieces) / seconds
    return tidy(" ".join(piece.text for piece in pieces)), round(min(max(confidence, 0.0), 1.0), 4)
