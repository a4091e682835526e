"""Tidying what recognisers print: script, spaces, and words nobody said."""

import re
from difflib import SequenceMatcher
from functools import cache

from opencc import OpenCC

_CJK = r"\u3400-\u9fff\uf900-\ufaff\u3000-\u303f\uff00-\uffef"
_SPACE_BESIDE_CJK = re.compile(rf"(?<=[{_CJK}])\s+|\s+(?=[{_CJK}])")
_NOT_WORDS = re.compile(r"[\W_]+")
# Whisper, given a prompt, likes to close with a full-width digit that nobody said; digits that were said are half-width.
_STRAY_END = re.compile(r"(?<=[^０-９])[０-９﹑]$")
# A unit of 1–12 characters said four times or more without a break.
_LOOP = re.compile(r"(.{1,12}?)\1{3,}")
# What Whisper learnt from subtitles and prints over noise.
_SUBTITLE = re.compile(
    r"字幕(由|by|志愿|製作|制作|提供)|明镜与点点|明镜需要您|不吝点赞|点赞[ ,，]*订阅|Amara\.org|(谢谢|感谢)(大家)?(的)?(观看|收看|收听)",
    re.IGNORECASE,
)
_GOES_ON = re.compile(
    r"(然后|因为|所以|但是|可是|不过|如果|要是|就是|那个|这个|还有|以后|的时候|的话|跟|和|把|被|给|在|嗯|呃|我想|我要|想问|他说|她说)$"
)
_PACES = (3.3, 3.6)
"""characters a second of voice: slow, and brisk enough to be believed (eight human clips: 4.0 to 6.2; decision 12)"""
_FASTEST = 11.0
"""characters a second that no mouth reaches"""


def tidy(text: str) -> str:
    """Simplified Chinese, no spaces beside Chinese characters or around the whole."""
    return _STRAY_END.sub("", _SPACE_BESIDE_CJK.sub("", _simplified().convert(text)).strip())


@cache
def _simplified() -> OpenCC:
    return OpenCC("t2s")


def words_only(text: str) -> str:
    """Letters, digits and characters alone."""
    return _NOT_WORDS.sub("", text)


def is_invented(text: str, seconds: float, prompt: str) -> bool:
    """Whether a recogniser made this up: looping, the prompt itself, a subtitle's credits, or too fast to say."""
    words = words_only(text)
    if not words:
        return True
    if len(words) > 12 and len(words) / max(seconds, 0.5) > _FASTEST:
        return True
    return _is_loop(words) or _is_prompt(words, words_only(prompt)) or _is_credits(text, words)


def without_stutter(text: str) -> tuple[str, bool]:
    """A short word repeated over and over is kept twice (people do call 救命救命救命); whether that happened."""
    shorter = _LOOP.sub(lambda found: found.group(1) * 2, text)
    return shorter, shorter != text


def finished(text: str, voiced_s: float) -> float:
    """How much words, as they were spoken, seem to be all, 0 to 1.

    Who speaks slowly pauses long: three characters a second are somebody taking their time, five are everyday talk. And a sentence that stops at "and" or "because" goes on.
    """
    words = words_only(text)
    if len(words) < 2 or voiced_s <= 0:
        return 1.0
    if len(words) > 2 and _GOES_ON.search(words):
        return 0.0
    slow, brisk = _PACES
    return min(max((len(words) / voiced_s - slow) / (brisk - slow), 0.0), 1.0)


def _is_loop(words: str) -> bool:
    for found in _LOOP.finditer(words):
        unit, times = found.group(1), len(found.group(0)) // len(found.group(1))
        if len(unit) >= 3 and times >= 5 and len(found.group(0)) > 0.6 * len(words):
            return True
    return False


def _is_prompt(words: str, prompt: str) -> bool:
    if len(words) < 6 or not prompt:
        return False
    return words in prompt or (len(prompt) >= 6 and SequenceMatcher(None, words, prompt).ratio() > 0.8)


def _is_credits(text: str, words: str) -> bool:
    return bool(_SUBTITLE.search(text)) and len(words) < 40
