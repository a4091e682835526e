"""The second opinion on danger: linear heads over a sentence's vector, trained with the encoder."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from handoff.language.encoder import CARD, HEADS, Encoder, EncoderError
from handoff.model.screening import Fusion, Suspicion
from handoff.model.words import DangerKind

# In a long breath the rest drowns one terrible sentence: it is read whole and in overlapping pieces of about a
# sentence, and the worst of them counts.
_WHOLE, _WINDOW, _STEP, _MOST_WINDOWS = 60, 36, 18, 60


class DangerClassifier:
    """Says how much a text sounds like danger, and of which kinds. Knows no rules; see `Screening` for those."""

    def __init__(self, encoder: Encoder) -> None:
        """Takes the heads that lie beside the encoder; raises EncoderError when they do not fit it."""
        self._encoder = encoder
        path = encoder.folder / HEADS
        try:
            with np.load(path, allow_pickle=False) as heads:
                self._danger = heads["danger_weight"][0], float(heads["danger_bias"][0])
                self._kinds = heads["kind_weight"], heads["kind_bias"]
            self._names = [DangerKind(name) for name in encoder.card["kinds"]]
            self.fusion = Fusion.of(encoder.card["danger"])
        except (OSError, KeyError, TypeError, ValueError, IndexError) as fault:
            raise EncoderError(f"{path} 或 {CARD} 与编码器不配（{type(fault).__name__}）") from fault

    @classmethod
    def load(cls, folder: Path, *, threads: int = 0) -> "DangerClassifier":
        """The classifier of an encoder's folder."""
        return cls(Encoder(folder, threads=threads))

    def suspect(self, texts: Sequence[str]) -> list[Suspicion]:
        """One suspicion a text, in their order; of a long text that of its worst piece."""
        pieces = [(at, piece) for at, text in enumerate(texts) for piece in _windows(text)]
        vectors = self._encoder.vectors([piece for _, piece in pieces])
        odds = vectors @ self._danger[0] + self._danger[1]
        kinds = vectors @ self._kinds[0].T + self._kinds[1]
        worst: dict[int, int] = {}
        for row, (at, _) in enumerate(pieces):
            if at not in worst or odds[row] > odds[worst[at]]:
                worst[at] = row
        return [self._suspicion(float(odds[row]), kinds[row]) for _, row in sorted(worst.items())]

    def _suspicion(self, odds: float, row: np.ndarray) -> Suspicion:
        shares = {name: _share(float(value)) for name, value in zip(self._names, row, strict=True)}
        return Suspicion(odds, shares)


def _share(odds: float) -> float:
    return 1 / (1 + math.exp(-max(min(odds, 60.0), -60.0)))


def _windows(text: str) -> Iterator[str]:
    yield text
    if len(text) <= _WHOLE:
        return
    starts = range(0, len(text) - _WINDOW + _STEP, _STEP)
    # Of a text beyond all speech, the beginning and the end.
    half = _MOST_WINDOWS // 2
    for start in starts if len(starts) <= _MOST_WINDOWS else (*starts[:half], *starts[-half:]):
        yield text[start : start + _WINDOW]
