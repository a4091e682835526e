"""The second opinion on danger: linear heads over a sentence's vector, and over its runs of characters."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from handoff.language.encoder import CARD, HEADS, Encoder, EncoderError
from handoff.language.ngrams import ngrams
from handoff.model.screening import Fusion, Suspicion
from handoff.model.words import DangerKind

_LONGEST_RUN = 2  # characters
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
                self._danger = heads["danger_weight"], float(heads["danger_bias"])
                self._runs = _Runs(heads["runs"], heads["idf"], heads["run_weight"], float(heads["run_bias"]))
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
        pieces = [(at, span) for at, text in enumerate(texts) for span in _spans(len(text))]
        parts_of = [texts[at][slice(*span)] for at, span in pieces]
        vectors = self._encoder.vectors(parts_of)
        odds = vectors @ self._danger[0] + self._danger[1] + [self._runs.odds(part) for part in parts_of]
        kinds = vectors @ self._kinds[0].T + self._kinds[1]
        rows: list[list[int]] = [[] for _ in texts]
        for row, (at, _) in enumerate(pieces):
            rows[at].append(row)
        found = []
        for whole, *parts in rows:
            worst = max([whole, *parts], key=lambda row: odds[row])
            span = pieces[max(parts, key=lambda row: odds[row])][1] if parts else None
            shares = (_share(float(value)) for value in kinds[worst])
            found.append(Suspicion(float(odds[worst]), dict(zip(self._names, shares, strict=True)), span))
        return found


class _Runs:
    """Danger by the text's characters alone: what each run of one or two of them adds, by its tf-idf."""

    def __init__(self, runs: np.ndarray, idf: np.ndarray, weight: np.ndarray, bias: float) -> None:
        self._at = {str(run): at for at, run in enumerate(runs)}
        self._idf, self._weight, self._bias = idf, idf * weight, bias

    def odds(self, text: str) -> float:
        counts = Counter(at for run in ngrams(text, _LONGEST_RUN) if (at := self._at.get(run)) is not None)
        if not counts:
            return self._bias
        seen = np.fromiter(counts, np.int64)
        often = 1 + np.log(np.fromiter(counts.values(), np.float64))
        length = float(np.linalg.norm(often * self._idf[seen]))
        return self._bias + float(often @ self._weight[seen]) / length


def _share(odds: float) -> float:
    return 1 / (1 + math.exp(-max(min(odds, 60.0), -60.0)))


def _spans(length: int) -> Iterator[tuple[int, int]]:
    """The whole text; then, of a long one, its pieces."""
    yield 0, length
    if length <= _WHOLE:
        return
    starts = range(0, length - _WINDOW + _STEP, _STEP)
    # Of a text beyond all speech, the beginning and the end.
    half = _MOST_WINDOWS // 2
    for start in starts if len(starts) <= _MOST_WINDOWS else (*starts[:half], *starts[-half:]):
        yield start, min(start + _WINDOW, length)
