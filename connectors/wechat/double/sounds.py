"""Sounds: what the platform must know of them, and their way from and to a browser."""

import io
from typing import Any

import av

_FORMATS = {"mp3", "amr"}


def seconds_of(data: bytes) -> float | None:
    """How long it plays; None for what is neither MP3 nor AMR."""
    try:
        with av.open(io.BytesIO(data), "r") as sound:
            if not _FORMATS & set(sound.format.name.split(",")) or not sound.streams.audio:
                return None
            return _length(sound)
    except av.FFmpegError:
        return None


def _length(sound: av.container.InputContainer) -> float | None:
    """By its packets: what a header says of itself may be wrong."""
    lasts = [(packet.duration or 0) * float(packet.time_base or 0) for packet in sound.demux(audio=0)]
    return sum(lasts) or None


def to_amr(recording: bytes) -> bytes:
    """A browser's recording as WeChat sends it: AMR, 8 kHz. Raises av.FFmpegError."""
    return _encoded(recording, "amr", "libopencore_amrnb", 8000)


def to_wav(sound: bytes) -> bytes:
    """AMR as browsers play it. Raises av.FFmpegError."""
    return _encoded(sound, "wav", "pcm_s16le", 8000)


def _encoded(sound: bytes, container: str, codec: str, rate: int) -> bytes:
    out = io.BytesIO()
    with av.open(io.BytesIO(sound), "r") as heard, av.open(out, "w", format=container) as box:
        stream: Any = box.add_stream(codec, rate=rate)  # its type hangs on the codec's name
        stream.layout = "mono"
        resampler = av.AudioResampler(stream.format, "mono", rate, frame_size=stream.frame_size or 160)
        for frame in heard.decode(audio=0):
            for part in resampler.resample(frame):
                box.mux(stream.encode(part))
        for part in resampler.resample(None):
            box.mux(stream.encode(part))
        box.mux(stream.encode(None))
    return out.getvalue()
