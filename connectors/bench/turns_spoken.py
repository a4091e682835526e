"""What is said to the telephone when it is measured: human clips and voices of the synthesiser, at 8 kHz."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from connectors.bench.sentences import everyday
from voice.audio import HEARING_RATE, Samples, Sound, decode, save_wav
from voice.kokoro import RATE, Kokoro
from voice.speech_text import speakable
from voice.telephone import over_telephone

VOICES = ("zm_yunxi", "zf_xiaoni", "zm_yunyang", "zf_xiaobei")
NOISE_DB = 25.0
_LOUD = 0.02


@dataclass(frozen=True)
class Spoken:
    """One utterance as a file at 8 kHz that begins and ends with voice."""

    path: str
    who: str
    """The person's clip, or the synthesiser's voice."""


def turns(clips: Path, kokoro: Kokoro, folder: Path, count: int) -> list[Spoken]:
    """So many utterances, human ones first: each clip clean, with noise, and soft; then the synthesiser's voices."""
    found = [Spoken(_save(sound, folder), who) for who, sound in _human(clips)]
    texts = [text for text in everyday(count * 2, seed=9) if 6 <= len(text) <= 22]
    for at, text in enumerate(texts[: max(count - len(found), 0)]):
        voice = VOICES[at % len(VOICES)]
        spoken = Sound(kokoro.speak(speakable(text), voice, 0.95), RATE)
        noise = NOISE_DB if at % 2 else None
        found.append(Spoken(_save(over_telephone(spoken, noise_db=noise, seed=at), folder), voice))
    return found[:count]


def _human(clips: Path) -> list[tuple[str, Sound]]:
    if not (clips / "clips.tsv").is_file():
        return []
    with (clips / "clips.tsv").open(encoding="utf-8") as file:
        names = [row["file"] for row in csv.DictReader(file, delimiter="\t")]
    found = []
    for name in names:
        clip = decode(clips / name)
        soft = Sound(clip.samples * 0.4, clip.rate)
        heard = over_telephone(clip), over_telephone(clip, noise_db=NOISE_DB), over_telephone(soft)
        found += [(name, sound) for sound in heard]
    return found


def _save(sound: Sound, folder: Path) -> str:
    """From the first to the last voice, so that when it ends is known to a hundredth of a second."""
    path = folder / f"said-{len([*folder.glob('said-*.wav')])}.wav"
    save_wav(Sound(_cut(sound), sound.rate), path)
    return str(path)


def _cut(sound: Sound) -> Samples:
    step = sound.rate // 50
    whole = sound.samples[: len(sound.samples) // step * step].reshape(-1, step)
    loud = np.flatnonzero(np.sqrt((whole**2).mean(axis=1)) > _LOUD * max(float(np.abs(whole).max()), 1e-3))
    return sound.samples[loud[0] * step : (loud[-1] + 1) * step] if len(loud) else sound.samples


def slow(
    kokoro: Kokoro, texts: Sequence[str], voice: str, seed: int
) -> list[tuple[Samples, list[tuple[float, float]]]]:
    """Each text at an old person's pace, with a pause of up to two seconds at each comma: (16 kHz sound, where the
    pauses are, from and to in seconds)."""
    draw = np.random.default_rng(seed)
    return [_with_pauses(kokoro, text, voice, draw) for text in texts]


def _with_pauses(
    kokoro: Kokoro, text: str, voice: str, draw: np.random.Generator
) -> tuple[Samples, list[tuple[float, float]]]:
    parts, pauses, at = [np.zeros(HEARING_RATE, np.float32)], [], 1.0
    for piece in text.split("，"):
        if len(parts) > 1:
            pause = float(draw.uniform(0.5, 2.0))
            pauses.append((at, at + pause))
            parts.append(np.zeros(round(pause * HEARING_RATE), np.float32))
            at += pause
        spoken = Sound(_cut(Sound(kokoro.speak(speakable(piece), voice, 0.55), RATE)), RATE)
        heard = over_telephone(spoken, noise_db=30).at(HEARING_RATE).samples
        parts.append(heard)
        at += len(heard) / HEARING_RATE
    parts.append(np.zeros(4 * HEARING_RATE, np.float32))
    return np.concatenate(parts), pauses
