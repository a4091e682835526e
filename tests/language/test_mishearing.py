"""The generator of recognition errors: as many as asked for, repeatable, and by sound."""

import difflib

import pytest
from pypinyin import lazy_pinyin

from handoff.language.mishearing import Mishearing

SAID = [
    "我这腿一到下雨天就疼得走不动路",
    "昨天后晌把身份证丢在集上了咋办",
    "孙子在城里念书三个月没打电话回来",
    "医生开的降压药吃完了还没去拿",
    "村口那根电线杆歪了要倒不倒的",
    "低保的钱这个月咋还没有打到卡上",
]


def errors(said: str, heard: str) -> float:
    """The share of characters that are wrong, by the edits that turn one into the other."""
    same = sum(
        block.size
        for block in difflib.SequenceMatcher(None, said, heard, autojunk=False).get_matching_blocks()
    )
    return (max(len(said), len(heard)) - same) / len(said)


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.35])
def test_about_as_many_characters_are_wrong_as_asked(rate: float) -> None:
    mishearing = Mishearing(5)
    found = [errors(said, mishearing.hear(said, rate)) for said in SAID * 30]
    assert abs(sum(found) / len(found) - rate) < 0.07


def test_the_same_seed_mishears_the_same() -> None:
    first, second = Mishearing(3), Mishearing(3)
    assert [first.hear(said, 0.3) for said in SAID] == [second.hear(said, 0.3) for said in SAID]


def test_what_is_misheard_sounds_alike() -> None:
    mishearing = Mishearing(9)
    pairs = [(said, mishearing.hear(said, 0.3)) for said in SAID * 20]
    same_length = [(said, heard) for said, heard in pairs if len(said) == len(heard) and said != heard]
    changed = [(a, b) for said, heard in same_length for a, b in zip(said, heard, strict=True) if a != b]
    alike = [lazy_pinyin(a)[0][-1] == lazy_pinyin(b)[0][-1] for a, b in changed]
    assert len(changed) > 50
    assert sum(alike) / len(alike) > 0.6


@pytest.mark.parametrize("text", ["", "OK 120", "😀", "啊"])
def test_nothing_is_lost_altogether(text: str) -> None:
    assert bool(Mishearing(1).hear(text, 0.4)) == bool(text)
