"""What a telephone line makes of a voice: 8 kHz, A-law (G.711, as Chinese exchanges use it), and noise."""

from typing import Any, Literal

import av
import numpy as np

from voice.audio import Sound, from_pcm16, to_pcm16

LINE_RATE = 8000
"""Hz"""
_MOST_BYTES = 1 << 16


def over_telephone(sound: Sound, *, noise_db: float | None = None, seed: int = 0) -> Sound:
    """The sound as it comes out at the far end of a line, at 8 kHz.

    noise_db: how far white noise lies below the voice; None for a quiet line.
    """
    line = sound.at(LINE_RATE)
    samples = line.samples
    if noise_db is not None and len(samples):
        loudness = float(np.sqrt(np.mean(samples**2)))
        noise = np.random.default_rng(seed).standard_normal(len(samples))
        samples = (samples + noise * loudness / 10 ** (noise_db / 20)).astype(np.float32)
    return from_pcm16(_from_alaw(to_alaw(Sound(samples, LINE_RATE))), LINE_RATE)


def to_alaw(sound: Sound) -> bytes:
    """The sound as a line carries it, one byte a sample at `LINE_RATE`."""
    coder, pcm = _codec("w"), to_pcm16(sound.at(LINE_RATE))
    carried = bytearray()
    for start in range(0, len(pcm), _MOST_BYTES):
        block = np.frombuffer(pcm[start : start + _MOST_BYTES], dtype="<i2")[None, :]
        frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
        frame.sample_rate = LINE_RATE
        carried += b"".join(bytes(packet) for packet in coder.encode(frame))
    return bytes(carried)


def _from_alaw(carried: bytes) -> bytes:
    decoder = _codec("r")
    heard = bytearray()
    for start in range(0, len(carried), _MOST_BYTES):
        for decoded in decoder.decode(av.Packet(carried[start : start + _MOST_BYTES])):
            heard += decoded.to_ndarray().tobytes()
    return bytes(heard)


def _codec(way: Literal["r", "w"]) -> Any:
    codec = av.CodecContext.create("pcm_alaw", way)
    codec.sample_rate, codec.layout, codec.format = LINE_RATE, "mono", "s16"
    return codec
