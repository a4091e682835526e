"""What a call needs of its line, whichever way it comes."""

from collections.abc import Callable
from typing import Protocol

import av
import numpy as np

from voice.audio import HEARING_RATE, Samples, from_pcm16
from voice.live import Line

NOTHING_S = 0.4
"""Where nothing at all comes for so long, silence is heard: some telephones send none, and a dead line must not keep
what was said last from being answered."""
LOST_S = 5.0
DEAD_S = 20
"""Where nothing comes for so long the line is given up; until then the person may come back."""
NONE: Samples = np.zeros(0, np.float32)


class CallLine(Line, Protocol):
    """The sound of one call, both ways, and its keys."""

    def open(self) -> None:
        """Begin to send."""
        ...

    async def close(self) -> None:
        """Send no more."""
        ...

    async def hang_up(self) -> None:
        """End the call; nothing where it is over."""
        ...

    def on_key(self, heard: Callable[[str], None]) -> None:
        """Tell of each key that is pressed."""
        ...

    def is_lost(self) -> bool:
        """Whether nobody can have put down the receiver: it went dead."""
        ...


class Inflow:
    """Sound that comes in at the wire's rate, as a stream at ours."""

    def __init__(self) -> None:
        self._stream: av.AudioResampler | None = None
        self._rate = 0

    def take(self, pcm: bytes, rate: int) -> Samples:
        """The next samples: 16-bit mono at `rate` Hz (0: ours already)."""
        samples = from_pcm16(pcm, rate or HEARING_RATE).samples
        if rate in (HEARING_RATE, 0) or not len(samples):  # an empty frame would end the stream
            return samples
        if self._stream is None or rate != self._rate:
            self._rate = rate
            # It keeps back two milliseconds; soxr's stream works in blocks, and kept back 62 on average (decision 12).
            self._stream = av.AudioResampler(format="flt", layout="mono", rate=HEARING_RATE)
        frame = av.AudioFrame.from_ndarray(samples[None, :], format="flt", layout="mono")
        frame.sample_rate = rate
        parts = [part.to_ndarray()[0] for part in self._stream.resample(frame)]
        return np.asarray(np.concatenate(parts), np.float32) if parts else NONE

    def anew(self) -> None:
        """What comes now is not the continuation of what came."""
        self._stream = None
