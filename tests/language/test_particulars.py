"""What is told along with a matter, unasked: found where it is told, and nothing where it is not."""

import re

import pytest
import yaml

from connectors.settings import ROOT
from handoff.language.particulars import LONGEST, particulars

TOLD = [
    ("膝盖疼了三个月了，屋头就我一个人", {"since": "疼了三个月了", "near": "屋头就我一个人"}),
    ("从昨儿黑夜起就开始拉肚子", {"since": "从昨儿黑夜起就开始"}),
    ("打从去年收麦子那阵", {"since": "打从去年收麦子那阵"}),
    ("我老伴在旁边", {"near": "我老伴在旁边"}),
    ("没得人，都下地去了", {"near": "没得人"}),
    ("给我老伴办，以前没办过", {"who": "给我老伴办", "before": "以前没办过"}),
    ("八十三", {"who": "八十三"}),
    ("没有，头一遭", {"before": "头一遭"}),
    ("两袋米，送到村口小卖部", {"amount": "两袋", "where": "送到村口"}),
    ("村医开的，吃了半年了", {"source": "村医开的", "since": "半年了"}),
    ("儿媳妇在照应", {"helper": "儿媳妇在照应"}),
    ("打过两回药，不管用", {"tried": "打过两回药"}),
    ("隔壁占了我家的地，有承包证", {"evidence": "有承包证"}),
    ("明天去县城", {"when": "明天"}),
]


@pytest.mark.parametrize(("text", "told"), TOLD)
def test_what_is_told_is_found(text: str, told: dict[str, str]) -> None:
    assert {one.kind: one.text for one in particulars(text)} == told
    assert all(text[one.start : one.end] == one.text for one in particulars(text))


@pytest.mark.parametrize(
    "text", ["头疼", "低保怎么申请", "我想吃碗面", "手机没声音了", "", "有一个人来收破烂", "药怎么吃"]
)
def test_where_nothing_is_told_nothing_is_found(text: str) -> None:
    assert particulars(text) == []


def test_a_very_long_text_is_read_quickly_and_not_to_its_end() -> None:
    assert all(one.end <= LONGEST for one in particulars("打从去年给我老伴送到" * 1000))


def test_most_of_what_was_marked_by_hand_is_found() -> None:
    marked = []
    for path in sorted((ROOT / "nlu_data" / "nlu").glob("*.yml")):
        for block in yaml.safe_load(path.read_text("utf-8"))["nlu"]:
            for line in block["examples"].splitlines():
                text = re.sub(r"\[([^\[\]]*)\]\(\w+\)", r"\1", line.strip()[2:])
                marked += [(text, span) for span in re.findall(r"\[([^\[\]]*)\]\(since\)", line)]
    found = sum(
        any(one.kind == "since" and (span in one.text or one.text in span) for one in particulars(text))
        for text, span in marked
    )
    assert len(marked) > 50
    assert found / len(marked) > 0.6
