"""Speaking: one voice behind pyttsx3, sentence by sentence, with fixed phrases rendered ahead."""

import hashlib
import io
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from voice import espeak
from voice.audio import Samples, Sound, from_wav, to_wav
from voice.errors import VoiceError
from voice.models import ModelStore
from voice.play import play
from voice.speech_text import sentences, speakable, spoken_digits

__all__ = ["Speaker", "play", "sentences", "spoken_digits"]

log = structlog.get_logger("voice.speak")

PACE = 0.9
"""of the voice's own speed: old people hear slower speech better"""
_PAUSE_S = 0.3
_SOUNDS = "3"
"""Changed whenever the same words come to sound otherwise, so that nothing rendered before is used."""
_SPEEDS = (0.5, 2.0)
_VOLUMES = (0.0, 4.0)
# pyttsx3 keeps one engine for each driver and process, whoever asks.
_one_at_a_time = threading.RLock()


class Speaker:
    """A loaded voice. Methods may be called from any thread; one sentence is rendered at a time."""

    def __init__(
        self,
        models: ModelStore,
        *,
        voice: str = "zf_xiaoxiao",
        prefer: str = "auto",
        cache: Path | None = None,
    ) -> None:
        """`prefer`: auto, kokoro or espeak; `cache`: folder for fixed phrases, beside the models if not given."""
        if prefer not in ("auto", "kokoro", "espeak"):
            raise VoiceError("engine_failed", "语音合成引擎只能选 auto、kokoro 或 espeak，请改设置。")
        self._models = models
        self._voice = voice
        self._prefer = prefer
        self._cache = cache or models.folder / "phrases"
        self._engine: Any = None
        self._name = ""
        self._failures: list[BaseException] = []

    @property
    def engine(self) -> str:
        """kokoro or espeak: the loaded one, or the one that would be loaded now."""
        if self._name:
            return self._name
        usable = self._prefer != "espeak" and self._models.state("kokoro-zh") == "present"
        return "kokoro" if usable else "espeak"

    def load(self) -> None:
        """Bring the voice into memory, once: Kokoro, else espeak-ng. Raises VoiceError engine_failed."""
        with _one_at_a_time:
            if self._engine is not None:
                return
            if self._prefer != "espeak":
                try:
                    self._load_kokoro()
                    return
                except VoiceError as error:
                    log.warning("voice_passed_over", engine="kokoro", code=error.code)
            self._load_espeak()

    def say(self, text: str, *, speed: float = 1.0, volume: float = 1.0) -> Sound:
        """The whole text as sound, blocking; empty when nothing in it can be said. Raises VoiceError."""
        self.load()
        parts: list[Samples] = []
        rate = 0
        for sentence in sentences(text):
            sound = self._sentence(sentence, speed)
            rate = sound.rate
            if len(sound.samples):
                parts += [sound.samples, np.zeros(int(rate * _PAUSE_S), dtype=np.float32)]
        if not parts:
            return Sound(np.zeros(0, dtype=np.float32), rate or 24000)
        return Sound(_louder(np.concatenate(parts[:-1]), volume), rate)

    @staticmethod
    def sentences(text: str) -> list[str]:
        """Pieces to be said one after another, so that the first sounds while the next is rendered."""
        return sentences(text)

    def prepare(self, phrases: Iterable[str], *, speed: float = 1.0) -> None:
        """Render fixed phrases into the cache on disk. Never for words meant for one person."""
        self.load()
        for phrase in phrases:
            for sentence in sentences(phrase):
                if not self._cached(sentence, speed).is_file():
                    self._keep(self._cached(sentence, speed), self._render(sentence, speed))

    def prepared(self, sentence: str, *, speed: float = 1.0, volume: float = 1.0) -> Sound | None:
        """The sentence from the cache, at once; None where it was not rendered ahead."""
        sound = self._kept(sentence, speed)
        return sound and Sound(_louder(sound.samples, volume), sound.rate)

    def is_prepared(self, sentence: str, *, speed: float = 1.0) -> bool:
        """Whether it lies in the cache."""
        return self._cached(sentence, speed).is_file()

    def _sentence(self, sentence: str, speed: float) -> Sound:
        return self._kept(sentence, speed) or self._render(sentence, speed)

    def _kept(self, sentence: str, speed: float) -> Sound | None:
        try:
            return from_wav(self._cached(sentence, speed).read_bytes())
        except (OSError, VoiceError):  # not prepared, or cut short on disk
            return None

    def _cached(self, sentence: str, speed: float) -> Path:
        key = "\0".join((_SOUNDS, self._name, self._voice, f"{speed:.2f}", sentence))
        return self._cache / f"{hashlib.sha256(key.encode()).hexdigest()}.wav"

    def _keep(self, path: Path, sound: Sound) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = path.with_name(f"{path.name}.{threading.get_ident()}")
            fresh.write_bytes(to_wav(sound))
            fresh.replace(path)
        except OSError as error:  # the phrase is rendered again when it is needed
            log.warning("phrase_not_kept", errno=error.errno)

    def _load_kokoro(self) -> None:
        folder = self._models.path("kokoro-zh")
        import pyttsx3

        from voice import kokoro_driver

        kokoro_driver.register(folder)
        self._adopt(pyttsx3.init("kokoro"), "kokoro")

    def _load_espeak(self) -> None:
        espeak.prepare()
        import pyttsx3

        try:
            self._adopt(pyttsx3.init(espeak.DRIVER), "espeak")
        except (RuntimeError, OSError) as error:
            raise VoiceError(
                "engine_failed", "备用语音 espeak-ng 启动不了，请重新安装程序的依赖。"
            ) from error

    def _adopt(self, engine: Any, name: str) -> None:
        self._engine, self._name = engine, name
        engine.connect("error", self._failed)
        log.info("voice_loaded", engine=name)

    def _failed(self, *, exception: BaseException, **_: object) -> None:
        self._failures.append(exception)

    def _render(self, sentence: str, speed: float) -> Sound:
        """One sentence through pyttsx3, in memory."""
        text = speakable(sentence)
        if not text:
            return Sound(np.zeros(0, dtype=np.float32), 24000)
        into = io.BytesIO()
        with _one_at_a_time:
            self._failures.clear()
            self._set(speed)
            self._engine.save_to_file(text, into)
            self._run()
            if self._failures:
                raise VoiceError(
                    "engine_failed", "语音合成出错了，请再试一次，仍不行就重启服务。"
                ) from self._failures[0]
        return from_wav(into.getvalue()) if into.getvalue() else Sound(np.zeros(0, dtype=np.float32), 24000)

    def _set(self, speed: float) -> None:
        pace = float(np.clip(speed, *_SPEEDS)) * PACE
        normal, voice = (espeak.NORMAL_RATE, espeak.VOICE) if self._name == "espeak" else (200, self._voice)
        self._engine.setProperty("voice", voice)
        self._engine.setProperty("rate", round(normal * pace))

    def _run(self) -> None:
        try:
            self._engine.runAndWait()
        except Exception as error:
            # pyttsx3 thinks the loop still runs and would refuse every later sentence.
            self._engine.endLoop()
            self._failures.append(error)


def _louder(samples: Samples, volume: float) -> Samples:
    """Scaled; what would clip is bent softly instead."""
    scaled = samples * float(np.clip(volume, *_VOLUMES))
    over = np.abs(scaled) > 0.8
    scaled[over] = np.sign(scaled[over]) * (0.8 + 0.2 * np.tanh((np.abs(scaled[over]) - 0.8) / 0.2))
    return scaled.astype(np.float32)
