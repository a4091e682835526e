"""What is no word, for measuring what interrupts: made, or cut from clips; all as it comes down a telephone line."""

from pathlib import Path

import numpy as np

from voice.audio import HEARING_RATE, Samples, Sound, decode
from voice.telephone import over_telephone


def noises(clips: Path, each: int = 10) -> list[Samples]:
    """What is no word; about three seconds each, 16 kHz.

    Hiss, hum, rain, knocks, coughs of noise and with a voice in them, throats cleared, sneezes, and a television across the room.
    """
    draw = np.random.default_rng(3)
    length = 3 * HEARING_RATE
    made: list[Samples] = []
    for _ in range(each):
        white = draw.standard_normal(length, np.float32)
        hum = 0.05 * np.sin(2 * np.pi * 50 * np.arange(length, dtype=np.float32) / HEARING_RATE)
        made += [
            white * draw.uniform(0.005, 0.05),
            _brown(white) * draw.uniform(0.02, 0.1),
            hum + white * 0.002,
            _bursts(draw, length, 0.02, 4),
            _bursts(draw, length, 0.12, 2),
            _loud(_twice(_cough(draw))),
            _loud(_throat(draw)),
            _loud(_sneeze(draw)),
        ]
    made += _television(clips, draw, each)
    return [
        over_telephone(Sound(np.asarray(one, np.float32), HEARING_RATE)).at(HEARING_RATE).samples
        for one in made
    ]


def _brown(white: Samples) -> Samples:
    walked = np.cumsum(white)
    walked -= np.convolve(walked, np.ones(2000) / 2000, "same")
    return np.asarray(walked / np.abs(walked).max(), np.float32)


def _bursts(draw: np.random.Generator, length: int, seconds: float, count: int) -> Samples:
    """Knocks (short) and coughs (longer): noise that dies away."""
    sound = draw.standard_normal(length) * 0.001
    for start in draw.integers(0, length - HEARING_RATE // 2, count):
        burst = draw.standard_normal(HEARING_RATE // 2) * np.exp(
            -np.arange(HEARING_RATE // 2) / (seconds * HEARING_RATE)
        )
        sound[start : start + len(burst)] += burst * 0.25
    return np.asarray(sound, np.float32)


def _television(clips: Path, draw: np.random.Generator, count: int) -> list[Samples]:
    """People's voices, two at once, 30 dB below somebody at the telephone."""
    paths = sorted(clips.glob("*.wav"))
    if len(paths) < 2:
        return []
    found = []
    for _ in range(count):
        pair = [
            np.resize(decode(paths[n]).samples, 3 * HEARING_RATE) for n in draw.choice(len(paths), 2, False)
        ]
        both = pair[0] + pair[1]
        found.append(both * (0.003 / max(float(np.sqrt(np.mean(both**2))), 1e-6)))
    return found


# -- noises that have a voice in them: excitation through three resonances, as a mouth has ---------------------------------

_RESONANCES = ((700.0, 90.0), (1200.0, 110.0), (2600.0, 170.0))
"""Hz, and their width: an open mouth."""
_LOUD = 0.12
"""Root mean square of what is coughed into the receiver: as loud as somebody who speaks into it."""


def _cough(draw: np.random.Generator) -> Samples:
    """A burst, its breath, and a voice that dies away."""
    burst = _mouth(_white(draw, draw.uniform(0.03, 0.06)))
    breath = _white(draw, draw.uniform(0.08, 0.16))
    breath = _mouth(breath * np.exp(-np.arange(len(breath)) / (0.07 * HEARING_RATE)))
    voice = _voiced(
        draw, draw.uniform(0.06, 0.14), draw.uniform(180, 320), draw.uniform(120, 180), rough=0.03
    )
    return np.concatenate([_even(burst), 0.5 * _even(breath), 0.6 * voice * np.linspace(1, 0.1, len(voice))])


def _throat(draw: np.random.Generator) -> Samples:
    """Low and rough."""
    voice = _voiced(
        draw, draw.uniform(0.2, 0.4), draw.uniform(70, 110), draw.uniform(60, 90), rough=0.3, breath=0.15
    )
    return np.asarray(voice * np.hanning(len(voice)), np.float32)


def _sneeze(draw: np.random.Generator) -> Samples:
    """A voice that rises, then breath."""
    voice = _voiced(draw, 0.15, 200, 320, rough=0.03, breath=0.0)
    breath = _white(draw, 0.25)
    breath = _even(breath) * np.exp(-np.arange(len(breath)) / (0.1 * HEARING_RATE))
    return np.concatenate([0.6 * voice * np.linspace(0.2, 1, len(voice)), 0.8 * breath])


def _white(draw: np.random.Generator, seconds: float) -> Samples:
    return draw.standard_normal(round(seconds * HEARING_RATE), np.float32)


def _voiced(
    draw: np.random.Generator,
    seconds: float,
    from_hz: float,
    to_hz: float,
    *,
    rough: float,
    breath: float = 0.02,
) -> Samples:
    """A throat's pulses, from one pitch to another, through a mouth."""
    count = round(seconds * HEARING_RATE)
    walk = draw.standard_normal(count).cumsum() / np.sqrt(count)
    turns = np.cumsum(np.linspace(from_hz, to_hz, count) * (1 + rough * walk)) / HEARING_RATE
    pulses = np.diff(np.floor(turns), prepend=0.0) > 0
    return _even(_mouth(pulses + breath * draw.standard_normal(count)))


def _mouth(sound: np.ndarray) -> Samples:
    for hertz, width in _RESONANCES:
        shrink = np.exp(-np.pi * width / HEARING_RATE)
        back, twice_back = 2 * shrink * np.cos(2 * np.pi * hertz / HEARING_RATE), -shrink * shrink
        out, last, before = np.zeros(len(sound)), 0.0, 0.0
        for at, value in enumerate(sound):
            last, before = (1 - shrink) * value + back * last + twice_back * before, last
            out[at] = last
        sound = out
    return np.asarray(sound, np.float32)


def _even(sound: Samples) -> Samples:
    return sound / max(float(np.sqrt(np.mean(sound**2))), 1e-9)


def _twice(sound: Samples) -> Samples:
    return np.concatenate([sound, np.zeros(HEARING_RATE // 4, np.float32), sound])


def _loud(sound: Samples) -> Samples:
    """In the middle of silence."""
    return np.concatenate(
        [
            np.zeros(HEARING_RATE // 4, np.float32),
            _LOUD * _even(sound),
            np.zeros(2 * HEARING_RATE, np.float32),
        ]
    )
