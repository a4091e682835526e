"""What a telephone line makes of a voice: 8 kHz, A-law (G.711, as Chinese exchanges use it), and noise."""

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
    return from_pcm16(_through_g711(to_pcm16(Sound(samples, LINE_RATE))), LINE_RATE)


def _through_g711(pcm: bytes) -> bytes:
    coder = av.CodecContext.create("pcm_alaw", "w")
    decoder = av.CodecContext.create("pcm_alaw", "r")
    for one in (coder, decoder):
        one.sample_rate, one.layout, one.format = LINE_RATE, "mono", "s16"
    heard = bytearray()
    for start in range(0, len(pcm), _MOST_BYTES):
        block = np.frombuffer(pcm[start : start + _MOST_BYTES], dtype="<i2")[None, :]
        frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
        frame.sample_rate = LINE_RATE
        for packet in coder.encode(frame):
            for decoded in decoder.decode(packet):
                heard += decoded.to_ndarray().tobytes()
    return bytes(heard)
