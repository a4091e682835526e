"""Real Speex, by Debian's encoder: in its container, and bare as WeChat hands it over."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import av
import pytest

from voice.audio import Sound, to_wav


def speex(sound: Sound) -> bytes:
    """The sound as wideband Speex in Ogg; skips, loudly, where there is no encoder."""
    encoder = shutil.which("speexenc")
    if encoder is None:
        line = "!!!!! 没有 speexenc，Speex 的测试跳过了：请以 root 运行 apt install speex。 !!!!!"
        print(line, file=sys.__stderr__)
        pytest.skip(line)
    with tempfile.TemporaryDirectory() as folder:
        wav, spx = Path(folder) / "said.wav", Path(folder) / "said.spx"
        wav.write_bytes(to_wav(sound.at(16000)))
        subprocess.run([encoder, "-w", "--quality", "8", wav, spx], check=True, capture_output=True)
        return spx.read_bytes()


def bare_speex(sound: Sound) -> bytes:
    """The frames alone, each behind a byte that says its length."""
    import io

    with av.open(io.BytesIO(speex(sound))) as box:
        frames = [bytes(packet) for packet in box.demux(audio=0) if packet.size]
    return b"".join(bytes([len(frame)]) + frame for frame in frames)
