"""Sound in memory: decoding what people send, writing WAV, finding speech in it."""

import errno
import io
import os
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import soxr
from numpy.typing import NDArray

from voice.errors import VoiceError

Samples = NDArray[np.float32]

HEARING_RATE = 16000
"""Hz: what every recogniser here wants."""

# Playlists and scripts (HLS, concat, SDP…) make FFmpeg open other files and addresses: only plain containers.
_FORMATS = "wav,w64,mp3,amr,amrnb,amrwb,ogg,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,flac,aac,aiff,caf,asf,au,avi,mpegts"
_FEWEST_FRAMES, _SHORTEST_FRAME = 10, 10  # a fifth of a second; bytes
_OPTIONS = {"format_whitelist": _FORMATS, "protocol_whitelist": "pipe"}


@dataclass(frozen=True)
class Sound:
    """Mono sound that carries its own rate."""

    samples: Samples
    """float32, one channel, −1..1"""
    rate: int
    """Hz"""

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate

    def at(self, rate: int) -> "Sound":
        """The same sound at another rate (Hz)."""
        if rate == self.rate or not len(self.samples):
            return Sound(self.samples, rate)
        return Sound(soxr.resample(self.samples, self.rate, rate).astype(np.float32), rate)


def decode(source: bytes | Path, *, limit_s: float = 120.0) -> Sound:
    """Any common recording (WAV, MP3, AMR, Speex, Opus, M4A…) as 16 kHz mono; what a cut-short file still holds.

    Speex also without a container, each frame behind a byte that says how long it is, as WeChat hands it over
    (audio/x-speex-with-header-byte; rate=16000): FFmpeg would take that for something else.

    Raises VoiceError: empty_audio, not_audio, too_long (more than `limit_s` seconds; at most that much is
    ever decoded).
    """
    if isinstance(source, Path):
        return _decode_path(source, limit_s)
    if not source:
        raise VoiceError("empty_audio", "录音是空的，请重新录一遍。")
    if frames := _bare_speex(source):
        blocks = _collect(_speex_blocks(frames), limit_s)
        return from_pcm16(b"".join(blocks), HEARING_RATE)
    return _decode_file(io.BytesIO(source), limit_s)


def _bare_speex(data: bytes) -> list[bytes]:
    """The frames behind their length bytes, a last one that is cut short left out; empty where it is no such thing.

    WeChat's frames are all of one length, which no container's bytes would repeat from end to end.
    """
    step = data[0] + 1
    frames = [data[at + 1 : at + step] for at in range(0, len(data) - step + 1, step)]
    is_bare = len(frames) >= _FEWEST_FRAMES and all(byte == data[0] for byte in data[::step])
    return frames if is_bare and data[0] >= _SHORTEST_FRAME else []


def _speex_blocks(frames: list[bytes]) -> Iterator[bytes]:
    """16-bit PCM at 16 kHz, until the end or the first damage."""
    decoder: Any = av.CodecContext.create("speex", "r")
    decoder.sample_rate, decoder.layout = HEARING_RATE, "mono"
    resampler = av.AudioResampler(format="s16", layout="mono", rate=HEARING_RATE)
    try:
        for frame in frames:
            for heard in decoder.decode(av.Packet(frame)):
                for piece in resampler.resample(heard):
                    yield piece.to_ndarray().tobytes()
    except (av.FFmpegError, ValueError, EOFError):
        return  # what came before the damage is worth hearing


def _decode_path(path: Path, limit_s: float) -> Sound:
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise VoiceError("empty_audio", "录音文件是空的，请重新录一遍。")
            file.seek(0)
            return _decode_file(file, limit_s)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else "unreadable"
        raise VoiceError("not_audio", f"打不开录音文件（{why}），请检查路径和权限。") from error


def _decode_file(file: Any, limit_s: float) -> Sound:
    not_audio = VoiceError(
        "not_audio", "这不是能听的录音，或录音已经损坏，请换 WAV、MP3、AMR 或 M4A 格式重录。"
    )
    try:
        container = av.open(file, mode="r", options=dict(_OPTIONS))
    except (av.FFmpegError, ValueError, EOFError) as error:
        raise not_audio from error
    with container:
        if not container.streams.audio:
            raise VoiceError("not_audio", "文件里没有声音，请重新录一遍。")
        blocks = _collect(_blocks(container), limit_s)
    if not blocks:
        raise not_audio
    return from_pcm16(b"".join(blocks), HEARING_RATE)


def _blocks(container: Any) -> Iterator[bytes]:
    """16-bit PCM at 16 kHz, until the end or the first damage."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=HEARING_RATE)
    try:
        for frame in container.decode(container.streams.audio[0]):
            for piece in resampler.resample(frame):
                yield piece.to_ndarray().tobytes()
        for piece in resampler.resample(None):
            yield piece.to_ndarray().tobytes()
    except (av.FFmpegError, ValueError, EOFError):
        return  # what came before the damage is worth hearing


def _collect(blocks: Iterator[bytes], limit_s: float) -> list[bytes]:
    kept: list[bytes] = []
    room = int(limit_s * HEARING_RATE) * 2
    for block in blocks:
        room -= len(block)
        if room < 0:
            raise VoiceError("too_long", f"录音超过了 {limit_s:g} 秒，请分成几段，每段短一些再说。")
        if block:
            kept.append(block)
    return kept


def from_pcm16(pcm: bytes, rate: int) -> Sound:
    """Little-endian 16-bit mono PCM at `rate` Hz; half a sample at the end is dropped."""
    whole = pcm[: len(pcm) // 2 * 2]
    return Sound(np.frombuffer(whole, dtype="<i2").astype(np.float32) / 32768.0, rate)


def to_pcm16(sound: Sound) -> bytes:
    """Little-endian 16-bit mono PCM at the sound's own rate."""
    return (np.clip(sound.samples, -1.0, 1.0) * 32767.0).round().astype("<i2").tobytes()


def to_wav(sound: Sound) -> bytes:
    """A WAV file: 16-bit PCM, mono."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sound.rate)
        file.writeframes(to_pcm16(sound))
    return buffer.getvalue()


def to_mp3(sound: Sound) -> bytes:
    """The sound as MP3 (mono, 24 kHz, 48 kbit/s: a minute is 360 kB)."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=24000)
        stream.bit_rate, stream.layout = 48_000, "mono"
        block = np.frombuffer(to_pcm16(Sound(sound.at(24000).samples, 24000)), dtype="<i2")[None, :]
        frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
        frame.sample_rate = 24000
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=24000)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return out.getvalue()


def from_wav(data: bytes) -> Sound:
    """A 16-bit mono WAV as `to_wav` writes it, at its own rate; raises VoiceError not_audio."""
    try:
        with wave.open(io.BytesIO(data), "rb") as file:
            if (file.getnchannels(), file.getsampwidth()) != (1, 2):
                raise VoiceError("not_audio", "这不是 16 位单声道的 WAV 文件。")
            return from_pcm16(file.readframes(file.getnframes()), file.getframerate())
    except (wave.Error, EOFError) as error:
        raise VoiceError("not_audio", "这不是完整的 WAV 文件。") from error


def save_wav(sound: Sound, path: Path) -> None:
    """Write `to_wav` to a path; raises VoiceError disk_full or folder_unwritable."""
    try:
        path.write_bytes(to_wav(sound))
    except OSError as error:
        raise disk_error(error, path.parent) from error


def disk_error(error: OSError, folder: Path) -> VoiceError:
    """The VoiceError for a failed write into `folder`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return VoiceError("disk_full", f"磁盘满了，写不进 {folder}，请清出空间后再试。")
    return VoiceError("folder_unwritable", f"写不进 {folder}，请检查目录是否存在、是否只读。")


def speech_spans(sound: Sound) -> list[tuple[int, int]]:
    """Where people speak: (start, end) in samples at 16 kHz, by Silero's voice activity model."""
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    heard = sound.at(HEARING_RATE)
    if len(heard.samples) < HEARING_RATE // 20:
        return []
    # Measured: no false alarm in 30 clips of white noise at five levels, all of 8 real clips found at 1/200 level.
    options = VadOptions(
        threshold=0.5, min_speech_duration_ms=200, min_silence_duration_ms=600, speech_pad_ms=200
    )
    spans = get_speech_timestamps(np.nan_to_num(heard.samples), options)
    return [(int(span["start"]), int(span["end"])) for span in spans]


def has_speech(sound: Sound) -> bool:
    """Whether anybody speaks in it."""
    return bool(speech_spans(sound))
