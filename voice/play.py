"""The sound card, through whatever player the system has."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from voice.audio import Sound, to_wav
from voice.errors import VoiceError

_FROM_STDIN = (
    ("aplay", ["-q", "-"]),
    ("pw-play", ["-"]),
    ("ffplay", ["-nodisp", "-autoexit", "-loglevel", "quiet", "-i", "-"]),
)
_FROM_FILE: tuple[tuple[str, list[str]], ...] = (("paplay", []), ("afplay", []))


def play(sound: Sound) -> None:
    """Play to the end, blocking; raises VoiceError no_player when there's no player or no sound card."""
    if not len(sound.samples):
        return
    wav, limit_s = to_wav(sound), sound.seconds + 10.0
    if any(_ran([name, *options], limit_s, wav) for name, options in _FROM_STDIN):
        return
    if any(shutil.which(name) for name, _ in _FROM_FILE) and _from_file(wav, limit_s):
        return
    raise VoiceError(
        "no_player", "放不出声音：没有声卡或播放程序，请接好音箱并安装 alsa-utils（aplay），或改为存成文件。"
    )


def _from_file(wav: bytes, limit_s: float) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "sound.wav")
        path.write_bytes(wav)
        return any(_ran([name, *options, str(path)], limit_s, None) for name, options in _FROM_FILE)


def _ran(command: list[str], limit_s: float, wav: bytes | None) -> bool:
    found = shutil.which(command[0])
    if not found:
        return False
    try:
        done = subprocess.run(  # noqa: S603  # a fixed list of players
            [found, *command[1:]], input=wav, capture_output=True, timeout=limit_s, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
