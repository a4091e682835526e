"""Recognisers' prints are tidied, and what nobody said is dropped."""

import pytest

from voice.heard_text import finished, is_invented, tidy, without_stutter

PROMPT = "以下是老人说的普通话，常说医保、低保、吃药、头晕。"


@pytest.mark.parametrize(
    ("printed", "tidied"),
    [
        ("我 头 很 痛", "我头很痛"),
        ("我頭很痛，請幫我叫醫生", "我头很痛，请帮我叫医生"),
        (" 我 在 用 Windows 10 呢 ", "我在用Windows 10呢"),
        ("안녕 하세요", "안녕 하세요"),
        ("", ""),
    ],
)
def test_spaces_and_script(printed: str, tidied: str) -> None:
    assert tidy(printed) == tidied


@pytest.mark.parametrize(
    "text",
    [
        "你不认识" * 28,
        PROMPT,
        PROMPT[:-4],
        "以下是老人说的普通话",
        "请不吝点赞 订阅 转发 打赏支持明镜与点点栏目",
        "字幕由Amara.org社区提供",
        "谢谢观看",
        "。。，",
    ],
)
def test_what_nobody_said_is_recognised(text: str) -> None:
    assert is_invented(text, 10.0, PROMPT)


@pytest.mark.parametrize(
    "text",
    [
        "我头很痛",
        "救命救命救命救命",
        "疼疼疼疼疼疼",
        "医保卡丢了",
        "谢谢你们来看我",
        "不是不是不是",
        "吃药",
        "头晕",
    ],
)
def test_what_people_do_say_is_kept(text: str) -> None:
    assert not is_invented(text, 3.0, PROMPT)


def test_faster_than_any_mouth_is_invented() -> None:
    assert is_invented("我们村里的路灯坏了好几天晚上看不见路", 1.0, "")
    assert not is_invented("我们村里的路灯坏了好几天晚上看不见路", 4.0, "")


def test_a_call_for_help_repeated_stays_audible() -> None:
    assert without_stutter("快来救命救命救命救命救命") == ("快来救命救命", True)
    assert without_stutter("头很痛") == ("头很痛", False)


@pytest.mark.parametrize(
    ("text", "voiced_s", "at_least", "at_most"),
    [
        ("降压药吃完了，村里买不到", 2.4, 1.0, 1.0),
        ("降压药吃完了，村里买不到", 4.5, 0.0, 0.0),  # taking their time: a pause is no end
        ("我家老头子昨天晚上然后", 2.0, 0.0, 0.0),
        ("屋顶漏雨了以后", 1.5, 0.0, 0.0),
        ("是", 0.4, 1.0, 1.0),
        ("要", 0.9, 1.0, 1.0),
        ("", 2.0, 1.0, 1.0),
        ("我想请人来看一看", 2.32, 0.3, 0.7),  # in between
    ],
)
def test_words_tell_whether_they_are_all(text: str, voiced_s: float, at_least: float, at_most: float) -> None:
    assert at_least <= finished(text, voiced_s) <= at_most
