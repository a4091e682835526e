"""Sounds that are no words: that somebody is there and at work."""

import numpy as np

from voice.audio import Sound

_RATE = 8000


def _tick() -> Sound:
    """Two soft, low taps: heard, and nothing to listen to."""
    at = np.arange(round(0.09 * _RATE)) / _RATE
    tap = 0.12 * np.sin(2 * np.pi * 520 * at) * np.exp(-at / 0.025)
    gap = np.zeros(round(0.12 * _RATE))
    return Sound(np.concatenate([tap, gap, tap]).astype(np.float32), _RATE)


TICK = _tick()
