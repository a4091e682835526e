"""Kokoro-82M: a neural Mandarin voice, run by ONNX Runtime alone."""

import json
import logging
import re
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voice.audio import Samples
from voice.errors import VoiceError

RATE = 24000
"""Hz"""
_MOST_TOKENS = 500
_BEFORE_S, _BEHIND_S = 0.03, 0.6
"""Silence left around a sentence. The model puts 0.4 s before it, for which somebody waits, and 0.9 s behind."""
_SILENT = 0.02
"""of the loudest hundredth of a second: what is softer is no voice"""
_LOUDNESS = 0.11
"""root mean square of a rendered sentence, about −20 dBFS: sentences come equally loud"""


class Kokoro:
    """One loaded model with all its voices. Thread-safe."""

    def __init__(self, folder: Path, threads: int = 2) -> None:
        """`folder`: the ONNX file, vocab.json, voices/*.bin. Raises VoiceError truncated_model, engine_failed."""
        self._folder = folder
        self._lock = threading.Lock()
        try:
            self._session = _session(folder / "kokoro-v1.0.int8.onnx", threads)
            self._vocab: dict[str, int] = json.loads((folder / "vocab.json").read_text("utf-8"))["vocab"]
            self._styles = {path.stem: _style(path) for path in sorted(folder.glob("voices/z*.bin"))}
        except Exception as error:  # ONNX Runtime raises its own kinds, all bare
            raise VoiceError(
                "truncated_model", "语音模型 Kokoro 读不进来，请运行：xiangyin models fetch kokoro-zh"
            ) from error
        self._phonemes = _phonemiser()

    @property
    def voices(self) -> list[str]:
        """Names: zf_… are women, zm_… are men."""
        return list(self._styles)

    def speak(self, text: str, voice: str, speed: float) -> Samples:
        """24 kHz mono for one sentence made speakable; empty when there is nothing to say."""
        if voice not in self._styles:
            raise VoiceError("engine_failed", f"没有嗓音 {voice}，可选：{'、'.join(self._styles)}。")
        parts = [self._render(tokens, voice, speed) for tokens in self._tokens(text)]
        return _levelled(_trimmed(np.concatenate(parts))) if parts else np.zeros(0, dtype=np.float32)

    def _tokens(self, text: str) -> list[list[int]]:
        if not text.strip():
            return []
        with self._lock:  # the segmenter behind it builds its dictionary once
            sounds = str(self._phonemes(text)[0])
        known = "".join(char for char in sounds if char in self._vocab)
        pieces: list[str] = [""]
        for word in re.split(r"(?<= )", known):
            if len(pieces[-1]) + len(word) > _MOST_TOKENS:
                pieces.append("")
            pieces[-1] += word[:_MOST_TOKENS]
        return [[self._vocab[char] for char in piece] for piece in pieces if re.search(r"\w", piece)]

    def _render(self, tokens: list[int], voice: str, speed: float) -> Samples:
        styles = self._styles[voice]
        inputs = {
            "tokens": np.array([[0, *tokens, 0]], dtype=np.int64),
            "style": styles[min(len(tokens), len(styles)) - 1].reshape(1, 256),
            "speed": np.array([speed], dtype=np.float32),
        }
        with self._lock:
            try:
                sound: NDArray[np.float32] = self._session.run(None, inputs)[0]
            except Exception as error:  # ONNX Runtime raises its own kinds, all bare
                raise VoiceError("engine_failed", "语音合成出错了，请再试一次，仍不行就重启服务。") from error
        return np.nan_to_num(sound.ravel()).astype(np.float32)


def _session(path: Path, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _style(path: Path) -> Samples:
    return np.fromfile(path, dtype=np.float32).reshape(-1, 256)


def _phonemiser() -> Any:
    # jieba's source holds escape sequences that warn when first compiled, and it reports itself on stderr.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from misaki import zh

        zh.jieba.setLogLevel(logging.WARNING)
        zh.jieba.initialize()
        return zh.ZHG2P()


def _levelled(samples: Samples) -> Samples:
    loudness = float(np.sqrt(np.mean(samples**2))) if len(samples) else 0.0
    if loudness < 1e-4:
        return samples
    gain = min(_LOUDNESS / loudness, 0.95 / float(np.abs(samples).max()))
    return (samples * gain).astype(np.float32)


def _trimmed(samples: Samples) -> Samples:
    step = RATE // 100
    loudness = np.sqrt(np.mean(samples[: len(samples) // step * step].reshape(-1, step) ** 2, axis=1))
    voiced = np.flatnonzero(loudness > _SILENT * loudness.max(initial=0.0))
    if not len(voiced):
        return samples
    first, last = int(voiced[0]) * step, int(voiced[-1] + 1) * step
    return samples[max(first - round(_BEFORE_S * RATE), 0) : last + round(_BEHIND_S * RATE)]
