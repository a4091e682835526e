"""The dialect lexicon: well-formed, large enough, and put into Mandarin without touching Mandarin."""

from pathlib import Path

import pytest

from connectors.errors import ConnectorError
from connectors.screens import DIALECT, danger_screen, load_dialect
from handoff.language.dialect import COLUMNS, Dialect, DialectError
from handoff.model.words import Risk

SHIPPED = Dialect.load(DIALECT)
WITHOUT = danger_screen(None, dialect=False)


def _table(folder: Path, *rows: str) -> Path:
    lines = ["\t".join(COLUMNS), *(row.replace("|", "\t") for row in rows)]
    (folder / "southwest.tsv").write_text("\n".join(lines), "utf-8")
    return folder


def test_there_are_words_enough_of_every_region() -> None:
    regions = [word.region for word in SHIPPED.words]
    assert len(regions) >= 800
    assert all(regions.count(region) >= 200 for region in ("southwest", "jin", "northeast", "central"))


def test_every_single_character_is_left_alone() -> None:
    assert [word.word for word in SHIPPED.words if len(word.word) == 1 and word.replaced] == []


def test_the_longest_word_wins_and_what_is_mandarin_too_is_left_alone(tmp_path: Path) -> None:
    dialect = Dialect.load(
        _table(
            tmp_path,
            "脑壳|脑袋|n|unverified|",
            "脑壳痛|头疼|v|unverified|",
            "恼火|难受|a|unverified|context: 普通话里是生气",
        )
    )
    assert dialect.mandarin("我脑壳痛，恼火得很").text == "我头疼，恼火得很"
    assert dialect.mandarin("摸脑壳").text == "摸脑袋"


def test_a_piece_of_the_mandarin_is_found_again_in_what_was_said(tmp_path: Path) -> None:
    dialect = Dialect.load(_table(tmp_path, "婆娘家|老婆|n|unverified|", "倒拐子|胳膊肘|n|unverified|"))
    said = "我婆娘家的倒拐子断了"
    meant = dialect.mandarin(said)
    assert meant.text == "我老婆的胳膊肘断了"
    assert meant.original("胳膊肘断", said) == "倒拐子断"
    assert meant.original("婆的", said) == "婆娘家的"
    assert meant.original("没有的", said) == "没有的"


@pytest.mark.parametrize("text", ["", "今天天气真好", "😀", "a" * 5000, "脑壳" * 2500])
def test_any_text_can_be_put_into_mandarin(text: str) -> None:
    meant = SHIPPED.mandarin(text)
    assert len(meant.starts) == len(meant.ends) == len(meant.text)


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ("脑壳|脑袋|n|unverified", "第 2 行"),
        ("脑壳|脑壳|n|unverified|", "第 2 行"),
        ("脑壳|脑袋|noun|unverified|", "词性"),
        ("脑壳|脑袋|n||", "出处"),
        ("脑壳|脑袋|n|unverified|\n脑壳|头|n|unverified|", "重复"),
    ],
)
def test_a_malformed_table_is_named(tmp_path: Path, row: str, named: str) -> None:
    with pytest.raises(DialectError, match=named):
        Dialect.load(_table(tmp_path, row))


def test_a_service_that_cannot_read_it_says_so_plainly(tmp_path: Path) -> None:
    with pytest.raises(ConnectorError, match="第 2 行"):
        load_dialect(_table(tmp_path, "脑壳|脑袋"))


def test_no_table_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DialectError, match="没有方言词表"):
        Dialect.load(tmp_path)


def test_the_screen_explains_danger_by_the_words_that_were_said() -> None:
    screen = danger_screen(None)
    raised = []
    for word in SHIPPED.words:
        text = f"我老伴{word.word}了"
        without = WITHOUT.screen(text)
        found = screen.screen(text)
        if word.replaced and found.risk.rank > without.risk.rank:
            raised.append(word.word)
            assert all(span in text for span in found.why), word.word
        assert found.risk.rank >= without.risk.rank
    assert raised, "the lexicon of dialect adds nothing to the screen"


def test_work_and_weather_in_dialect_stay_everyday() -> None:
    screen = danger_screen(None)
    for text in ("我在坡上打农药", "今天热死个人", "脑壳上戴个草帽", "娃儿笑死个人"):
        assert not screen.screen(text).risk.at_least(Risk.URGENT), text
