"""The knowledge base: every sentence may be said, every entry can be found, malformed files are named."""

from datetime import date
from pathlib import Path

import pytest
import yaml

from connectors.root import NLU_DATA
from handoff.model.knowledge import Entry, KnowledgeError, load_knowledge
from handoff.model.sayable import fault
from handoff.model.words import Need
from handoff.service.consulting import Consulting
from handoff.service.questions import LONGEST_ANSWER

FOLDER = NLU_DATA / "consultation"
ENTRIES = load_knowledge(FOLDER)
WHOLE = {
    "id": "papers-x", "region": "all", "keys": ["身份证/证", "丢/不见", "!户口"], "asks": ["身份证丢了", "身份证不见了咋办", "补身份证"],
    "usual": ["丢了可以补办。"], "watch": [], "where": ["到派出所户籍窗口。"], "bring": [], "case": "none",
    "source": "常识，未核", "date": "2026-11-24", "recheck": {"by": "派出所户籍窗口", "every_months": 12},
}  # fmt: skip


def _file(folder: Path, *entries: dict, name: str = "papers.yaml") -> Path:
    (folder / name).write_text(yaml.safe_dump([*entries], allow_unicode=True), "utf-8")
    return folder


def test_there_are_entries_enough_and_of_every_need_that_asks() -> None:
    assert len(ENTRIES) >= 200
    asked = "health medicine benefits insurance care goods farm home legal papers digital transport".split()
    assert {Need(need) for need in asked} <= {entry.need for entry in ENTRIES}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)
def test_every_sentence_of_it_may_be_said(entry: Entry) -> None:
    assert all(fault(text) is None for text in entry.said)
    assert sum(map(len, entry.said)) <= LONGEST_ANSWER
    assert not any(ch.isdigit() for text in entry.said for ch in text)
    assert entry.source and entry.recheck_by and 1 <= entry.recheck_months <= 24
    if entry.need in (Need.HEALTH, Need.MEDICINE):
        assert entry.watch


def test_no_way_of_asking_leads_to_two_entries() -> None:
    asks = [ask for entry in ENTRIES for ask in entry.asks]
    assert len(asks) == len(set(asks))


def test_everybody_who_asks_in_known_words_is_answered() -> None:
    consulting = Consulting(ENTRIES)
    asked = [(consulting.find(ask, entry.need), entry) for entry in ENTRIES for ask in entry.asks]
    assert all(found is not None for found, _ in asked)
    # A few ways of asking hold the words of two entries; which of them is nearer is a matter of taste.
    assert sum(found is not entry for found, entry in asked) <= len(asked) / 100


@pytest.mark.parametrize("text", ["", "嗯", "😀😀", "asdf", "一" * 5000, "今天天气真好"])
def test_what_is_no_question_finds_nothing(text: str) -> None:
    assert Consulting(ENTRIES).answers(text) == {}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("您这是关节炎。", "诊断"), ("每天吃两片。", "用量"), ("没事，别担心。", "不要紧"), ("这钱一定能到。", "打包票"),
        ("先别打一二零。", "救护车"), ("赶紧催吐。", "催吐"), ("您去了没有？找谁了？", "一个问题"), ("打开app。", "字母"),
        ("你去村里问。", "您"), ("", "没有写话"), ("一" * 41 + "。", "超过 40"),
    ],
)  # fmt: skip
def test_what_must_not_be_said_is_known(text: str, why: str) -> None:
    assert why in (fault(text) or "")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"usual": ["您这是关节炎。"]}, "诊断"), ({"asks": ["一"]}, "三种问法"), ({"region": "mars"}, "region"),
        ({"case": "maybe"}, "case"), ({"date": "soon"}, "papers-x"), ({"recheck": {}}, "papers-x"), ({"more": 1}, "more"),
        ({"usual": []}, "usual"), ({"keys": []}, "keys"), ({"keys": ["a//b"]}, "keys"),
    ],
)  # fmt: skip
def test_a_malformed_entry_is_named(tmp_path: Path, change: dict, named: str) -> None:
    with pytest.raises(KnowledgeError, match=named):
        load_knowledge(_file(tmp_path, WHOLE | change))


def test_a_file_that_is_no_need_or_no_list_or_empty_or_double_is_named(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeError, match="没有知识条目"):
        load_knowledge(tmp_path)
    with pytest.raises(KnowledgeError, match="写了两次"):
        load_knowledge(_file(tmp_path, WHOLE, WHOLE))
    (tmp_path / "papers.yaml").write_text("a: b", "utf-8")
    with pytest.raises(KnowledgeError, match="列表"):
        load_knowledge(tmp_path)
    (tmp_path / "papers.yaml").unlink()
    with pytest.raises(KnowledgeError, match="读不了"):
        load_knowledge(_file(tmp_path, WHOLE, name="weather.yaml"))


def test_an_entry_is_due_after_its_months_and_not_a_day_before(tmp_path: Path) -> None:
    (entry,) = load_knowledge(_file(tmp_path, WHOLE))
    assert not entry.due(date(2027, 11, 23))
    assert entry.due(date(2027, 11, 24))


def test_an_entry_is_meant_by_its_words_and_not_where_another_is(tmp_path: Path) -> None:
    (entry,) = load_knowledge(_file(tmp_path, WHOLE))
    assert entry.is_meant("我那个证不晓得丢到哪里去了")
    assert not entry.is_meant("身份证过期了") and not entry.is_meant("户口本跟证都丢了")


def test_an_entry_of_another_region_is_not_said(tmp_path: Path) -> None:
    (entry,) = load_knowledge(_file(tmp_path, WHOLE | {"region": "jin"}))
    assert Consulting([entry]).find(entry.asks[0], entry.need) is None
    assert Consulting([entry], region="jin").find(entry.asks[0], entry.need) is entry
