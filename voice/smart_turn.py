"""How finished spoken words sound, by melody and rhythm alone: Smart Turn v3.2. A hint, not a judge.

It knows no dialect and was not made for the old; what it says is weighed with silence and patience (`turn_taking`).
"""

import math
from pathlib import Path
from typing import Any

import numpy as np

from voice.audio import HEARING_RATE, Samples
from voice.errors import VoiceError

FILE = "smart-turn-v3.2-cpu.onnx"
_SECONDS = 8
_FRAMES = _SECONDS * 100


class SmartTurn:
    """One loaded model; may be called from any thread."""

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        """`folder` holds the model; raises VoiceError truncated_model."""
        import onnxruntime
        from faster_whisper.feature_extractor import FeatureExtractor

        options = onnxruntime.SessionOptions()
        options.inter_op_num_threads, options.intra_op_num_threads = 1, threads
        options.log_severity_level = 3
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(folder / FILE), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime raises its own kinds, all bare
            raise VoiceError(
                "truncated_model", "话轮模型读不进来，请运行：xiangyin models fetch smart-turn"
            ) from error
        self._features = FeatureExtractor(chunk_length=_SECONDS)

    def __call__(self, speech: Samples) -> float:
        """How much the words (16 kHz mono; the last eight seconds count) sound as if they were all, 0 to 1.

        The root of the model's probability: it calls finished what is above a half, and of whole sentences it gave a fifth less than 0.9.
        """
        sound = speech[-_SECONDS * HEARING_RATE :].astype(np.float32)
        sound = np.pad(sound, (_SECONDS * HEARING_RATE - len(sound), 0))
        sound = (sound - sound.mean()) / np.sqrt(sound.var() + 1e-7)
        shown = self._features(sound, padding=0)[:, :_FRAMES].astype(np.float32)
        (finished,) = self._session.run(None, {"input_features": shown[None]})
        return math.sqrt(float(finished.ravel()[0]))
