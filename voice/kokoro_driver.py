"""Kokoro behind pyttsx3: registers itself as the driver `kokoro`, so that `pyttsx3.init("kokoro")` works.

The method names and the order of notifications are pyttsx3's driver protocol.
"""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from pyttsx3.voice import Voice

from voice.audio import Samples, Sound, to_wav
from voice.errors import VoiceError
from voice.kokoro import RATE, Kokoro
from voice.play import play
from voice.speech_text import sentences, speakable

NORMAL_RATE = 200
"""pyttsx3's words a minute that mean the voice's own pace"""
VOICE = "zf_xiaoxiao"
_PAUSE = np.zeros(RATE * 3 // 10, dtype=np.float32)

_loaded: dict[Path, Kokoro] = {}
_current: list[Kokoro] = []


def register(folder: Path) -> None:
    """Load the model in `folder` (once) and make it the one the driver speaks with; raises VoiceError."""
    if folder not in _loaded:
        _loaded[folder] = Kokoro(folder)
    _current[:] = [_loaded[folder]]
    sys.modules["pyttsx3.drivers.kokoro"] = sys.modules[__name__]


def buildDriver(proxy: Any) -> "KokoroDriver":  # noqa: N802  # pyttsx3 looks for this name
    """What pyttsx3 calls for a new engine."""
    if not _current:
        raise VoiceError("model_missing", "还没有语音模型，请运行：xiangyin models fetch kokoro-zh")
    return KokoroDriver(proxy, _current[0])


class KokoroDriver:
    """One engine's driver; commands come one after another from pyttsx3's queue."""

    def __init__(self, proxy: Any, kokoro: Kokoro) -> None:
        self._proxy = proxy
        self._kokoro = kokoro
        self._ended = threading.Event()
        self._stopped = threading.Event()
        self._settings: dict[str, Any] = {"rate": NORMAL_RATE, "volume": 1.0, "voice": VOICE}

    def destroy(self) -> None:
        self._stopped.set()

    def startLoop(self) -> None:  # noqa: N802
        # An engine that has run before does its queue, the loop's end included, before the loop begins.
        self._proxy.setBusy(False)
        self._ended.wait()
        self._ended.clear()

    def endLoop(self) -> None:  # noqa: N802
        self._ended.set()

    def iterate(self) -> Iterator[None]:
        self._proxy.setBusy(False)
        yield

    def stop(self) -> None:
        self._stopped.set()

    def getProperty(self, name: str) -> Any:  # noqa: N802
        if name == "voices":
            return [_described(voice) for voice in self._kokoro.voices]
        if name not in self._settings:
            raise KeyError(f"unknown property {name}")
        return self._settings[name]

    def setProperty(self, name: str, value: Any) -> None:  # noqa: N802
        if name not in self._settings:
            raise KeyError(f"unknown property {name}")
        if name == "voice" and value not in self._kokoro.voices:
            raise ValueError(f"unknown voice {value}")
        limits = {"rate": (100, 400), "volume": (0.0, 1.0)}
        self._settings[name] = float(np.clip(value, *limits[name])) if name in limits else value

    def say(self, text: str) -> None:
        """Speak through the sound card."""
        self._utter(text, lambda sound: play(sound))

    def save_to_file(self, text: str, filename: str | IO[bytes]) -> None:
        """A WAV at a path, or into an open binary file (so that private words needn't touch the disk)."""

        def write(sound: Sound) -> None:
            if isinstance(filename, str):
                Path(filename).write_bytes(to_wav(sound))
            else:
                filename.write(to_wav(sound))

        self._utter(text, write)

    def _utter(self, text: str, put: Any) -> None:
        self._stopped.clear()
        self._proxy.setBusy(True)
        self._proxy.notify("started-utterance")
        completed = False
        try:
            put(Sound(self._render(text), RATE))
            completed = not self._stopped.is_set()
        finally:
            self._proxy.notify("finished-utterance", completed=completed)
            self._proxy.setBusy(False)

    def _render(self, text: str) -> Samples:
        speed = float(np.clip(self._settings["rate"] / NORMAL_RATE, 0.5, 2.0))
        parts: list[Samples] = []
        for sentence in sentences(text):
            if self._stopped.is_set():
                break
            parts += [self._kokoro.speak(speakable(sentence), self._settings["voice"], speed), _PAUSE]
        joined = np.concatenate(parts[:-1]) if parts else np.zeros(0, dtype=np.float32)
        volume: float = self._settings["volume"]
        return np.multiply(joined, volume, dtype=np.float32)


def _described(voice: str) -> Voice:
    return Voice(voice, voice.split("_", 1)[1], ["zh-CN"], "Female" if voice[1] == "f" else "Male", None)
