"""Which of many known ways of asking a text is most like: tf-idf of its characters, one and two at a time."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from handoff.language.ngrams import ngrams

_LONGEST = 2


class Likeness:
    """Cosine of tf-idf vectors. Rebuilt when the known ways change: a thousand take a few hundredths of a second."""

    def __init__(self, known: Sequence[tuple[str, str]], *, as_meant: Callable[[str], str] = str) -> None:
        """`known`: pairs of key and text, several texts a key; `as_meant` is applied to every text first."""
        self._as_meant = as_meant
        counts = [Counter(ngrams(as_meant(text), _LONGEST)) for _, text in known]
        self._keys = [key for key, _ in known]
        seen = Counter(gram for count in counts for gram in count)
        self._weight = {gram: math.log((1 + len(counts)) / (1 + often)) + 1 for gram, often in seen.items()}
        self._by_gram: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for at, count in enumerate(counts):
            for gram, share in self._vector(count).items():
                self._by_gram[gram].append((at, share))

    def each(self, text: str) -> dict[str, float]:
        """Of every key that shares anything with `text`, how much its nearest text is like it."""
        scores: dict[str, float] = {}
        each: dict[int, float] = defaultdict(float)
        for gram, share in self._vector(Counter(ngrams(self._as_meant(text), _LONGEST))).items():
            for at, other in self._by_gram.get(gram, ()):
                each[at] += share * other
        for at, score in each.items():
            key = self._keys[at]
            scores[key] = max(score, scores.get(key, 0.0))
        return scores

    def _vector(self, counts: Counter[str]) -> dict[str, float]:
        # What is unknown counts for the length: a long text that shares one word is not like it.
        unknown = math.log(1 + len(self._keys)) + 1
        raw = {
            gram: (1 + math.log(count)) * self._weight.get(gram, unknown) * (0.5 if len(gram) == 1 else 1)
            for gram, count in counts.items()
        }
        length = math.sqrt(sum(value * value for value in raw.values())) or 1.0
        return {gram: value / length for gram, value in raw.items()}
