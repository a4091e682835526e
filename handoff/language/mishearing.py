"""How a Mandarin recogniser mishears: homophones and near-homophones, whole words first, lost little words.

Made to train and to measure with. The shares below were set against what Whisper made of synthesised telephone
speech; `make heard` compares the two. Needs pypinyin and jieba, which the answering paths never load.
"""

import random
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

_INITIALS = sorted("b p m f d t n l g k h j q x zh ch sh r z c s y w".split(), key=len, reverse=True)
_LOOSE_INITIALS = (
    "zh z",
    "ch c",
    "sh s",
    "n l",
    "f h",
    "l r",
    "j q",
    "g k",
    "b p",
    "d t",
    "zh j",
    "sh x",
    "y r",
)
_LOOSE_FINALS = ("an ang", "en eng", "in ing", "ian in", "uan uang", "un ong", "ong eng", "ie ei", "uo ou", "e uo",
                 "ai ei", "ao ou", "ia a", "ua uo", "i v")  # fmt: skip
_LITTLE = frozenset("的了是就在也都还把给着过嘛呢啊哈咯哦哎呀嘞咧噻吧么这那个我你他")
_FILLERS = "啊嗯的了呢"
# Of the characters that are wrong: lost, put in, and among the changed ones how near the new sound is.
_LOST, _ADDED = 0.17, 0.04
_SAME_SOUND, _NEAR_SOUND, _SAME_FINAL = 0.62, 0.10, 0.14
_LONGEST_WORD = 3
_LIKELIER_IN_WORDS = 0.7


class Mishearing:
    """Wrong versions of a sentence, repeatable by seed."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311  (no secret hangs on it)

    def hear(self, text: str, rate: float) -> str:
        """`text` with about `rate` of its characters (0 to 1) wrong, as a recogniser would get them wrong."""
        heard: list[str] = []
        for word in self._words.cut(text):
            heard.append(self._hear_word(word, rate))
            if self._random.random() < rate * _ADDED:
                heard.append(self._random.choice(_FILLERS))
        return "".join(heard) or text

    def _hear_word(self, word: str, rate: float) -> str:
        if not _is_chinese(word):
            return word
        if word in _LITTLE or len(word) == 1:
            return self._hear_single(word, rate)
        # A word that is misheard loses most of its characters at once, so that the rate is spread over words.
        if self._random.random() >= rate / 0.8:
            return word
        if self._random.random() < _LIKELIER_IN_WORDS:
            sounds = [self._sound(sound) for sound in self._words.sounds_of(word)]
            if other := self._pick(self._words.words_by_sound, " ".join(sounds), word):
                return other
        return "".join(self._hear_single(char, 0.8) for char in word)

    def _hear_single(self, char: str, rate: float) -> str:
        lost = rate * (1.6 * _LOST if char in _LITTLE else 0.5 * _LOST)
        chance = self._random.random()
        if chance < lost:
            return ""
        if chance >= rate:
            return char
        sound = self._sound(self._words.sounds_of(char)[0])
        return self._pick(self._words.chars_by_sound, sound, char) or char

    def _sound(self, sound: str) -> str:
        """The syllable that is heard for `sound`, both without tone."""
        chance = self._random.random()
        if chance < _SAME_SOUND:
            return sound
        if chance < _SAME_SOUND + _NEAR_SOUND:
            others = self._words.near(sound)
        elif chance < _SAME_SOUND + _NEAR_SOUND + _SAME_FINAL:
            others = self._words.by_final[_split(sound)[1]]
        else:
            others = self._words.by_initial[_split(sound)[0]]
        return self._random.choice(others) if others else sound

    def _pick(self, table: dict[str, list[tuple[str, float]]], sound: str, but: str) -> str | None:
        choices = [(word, weight) for word, weight in table.get(sound, ()) if word != but]
        if not choices:
            return None
        return self._random.choices([w for w, _ in choices], [weight for _, weight in choices])[0]

    @cached_property
    def _words(self) -> "_Words":
        return _Words()


class _Words:
    """What there is to be heard: jieba's words and characters by their sound, with how common they are."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            # Its own, of escapes in its patterns, when it is compiled for the first time.
            warnings.simplefilter("ignore")
            import jieba
        from pypinyin import Style, lazy_pinyin

        jieba.setLogLevel(60)
        self._tokenizer = jieba.Tokenizer()
        self._spell: Callable[[str], tuple[str, ...]] = lambda word: tuple(
            lazy_pinyin(word, style=Style.NORMAL, v_to_u=False)
        )
        counts: dict[str, float] = defaultdict(float)
        common: dict[str, float] = {}
        for line in (Path(jieba.__file__).parent / "dict.txt").read_text("utf-8").splitlines():
            word, count, *_ = line.split(" ")
            if _is_chinese(word) and len(word) <= _LONGEST_WORD:
                for char in word:
                    counts[char] += float(count)
                if len(word) > 1 and int(count) >= 20:
                    common[word] = float(count)
        self.chars_by_sound = self._by_sound({c: n**0.85 for c, n in counts.items() if n >= 1000})
        # The root keeps a very common word from being the only one ever heard.
        self.words_by_sound = self._by_sound({word: n**0.6 for word, n in common.items()})
        sounds = sorted(self.chars_by_sound)
        self.by_initial, self.by_final = _grouped(sounds, 0), _grouped(sounds, 1)
        self._known = set(sounds)

    def cut(self, text: str) -> list[str]:
        return list(self._tokenizer.cut(text))

    def sounds_of(self, word: str) -> tuple[str, ...]:
        return self._spell(word)

    def near(self, sound: str) -> list[str]:
        """Syllables that differ in one loose initial or final."""
        initial, final = _split(sound)
        found = [other + final for other in _loose(initial, _LOOSE_INITIALS)]
        found += [initial + other for other in _loose(final, _LOOSE_FINALS)]
        return [other for other in found if other in self._known]

    def _by_sound(self, counts: dict[str, float]) -> dict[str, list[tuple[str, float]]]:
        table: dict[str, list[tuple[str, float]]] = defaultdict(list)
        for word, count in counts.items():
            table[" ".join(self._spell(word))].append((word, count))
        return dict(table)


def _is_chinese(word: str) -> bool:
    return bool(word) and all("\u4e00" <= char <= "\u9fff" for char in word)


def _split(sound: str) -> tuple[str, str]:
    initial = next((start for start in _INITIALS if sound.startswith(start)), "")
    return initial, sound[len(initial) :]


def _loose(part: str, pairs: Sequence[str]) -> list[str]:
    found = []
    for pair in pairs:
        one, other = pair.split(" ")
        found += [other] if part == one else [one] if part == other else []
    return found


def _grouped(sounds: Sequence[str], part: int) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for sound in sounds:
        groups[_split(sound)[part]].append(sound)
    return groups
