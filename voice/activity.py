"""How much each window of a live sound is a voice: Silero's model, kept going from window to window."""

from pathlib import Path
from typing import Any

import numpy as np

from voice.audio import Samples
from voice.errors import VoiceError
from voice.turn_taking import WINDOW

_CONTEXT = 64  # samples of the window before that the model wants to see again
_FRESH_AFTER = 60  # windows without a voice, after which its memory is cleared: long noise makes it deaf
_NO_VOICE = 0.1


class VoiceActivity:
    """One for each live sound; `voice_activity` shares the model among them."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._context = np.zeros(_CONTEXT, np.float32)
        self._h, self._c = _nothing(), _nothing()
        self._without = 0

    def __call__(self, window: Samples) -> float:
        """How much this window (512 samples at 16 kHz) is a voice, 0 to 1; windows must come in order."""
        seen = np.concatenate([self._context, window]).astype(np.float32)[None, :]
        share, self._h, self._c = self._session.run(None, {"input": seen, "h": self._h, "c": self._c})
        self._context = window[-_CONTEXT:]
        found = float(share.ravel()[0])
        self._without = self._without + 1 if found < _NO_VOICE else 0
        if self._without >= _FRESH_AFTER:
            self._h, self._c, self._without = _nothing(), _nothing(), 0
        return found


def _nothing() -> Samples:
    return np.zeros((1, 1, 128), np.float32)


def load_activity() -> Any:
    """The model that every live sound's `VoiceActivity` shares (faster-whisper brings it along)."""
    import onnxruntime
    from faster_whisper.utils import get_assets_path

    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            str(Path(get_assets_path()) / "silero_vad_v6.onnx"), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime raises its own kinds, all bare
        raise VoiceError("engine_failed", "听人声的模型读不进来，请重装 faster-whisper。") from error
    if WINDOW != 512:
        raise RuntimeError("the model wants windows of 512 samples")
    return session
