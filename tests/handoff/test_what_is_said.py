"""What the service and the page say by themselves: short, plain, one question, by the rules of care; numbers that are on the list."""

import re
from datetime import datetime
from pathlib import Path

import pytest
import yaml

from connectors.pages import page_phrases
from handoff.model.hotlines import Hotlines, HotlinesError
from handoff.model.sayable import fault
from handoff.model.words import DangerKind, Need, Risk, Stage
from handoff.service.phrases import Phrases, PhrasesError

NLU_DATA = Path(__file__).resolve().parents[2] / "nlu_data"
PHRASES = Phrases.load(NLU_DATA / "phrases.yaml")
HOTLINES = Hotlines.load(NLU_DATA / "hotlines.yaml")


def every_sentence() -> list[str]:
    """All that stands in the phrases, places left open, and in the page."""

    def texts(node: object) -> list[str]:
        if isinstance(node, dict):
            return [
                text
                for key, value in node.items()
                if not str(key).endswith("call") and key != "raises"
                for text in texts(value)
            ]
        return [node] if isinstance(node, str) else []

    table = yaml.safe_load((NLU_DATA / "phrases.yaml").read_text("utf-8"))
    return [*texts(table), *page_phrases().values()]


@pytest.mark.parametrize("text", every_sentence())
def test_it_is_short_and_keeps_to_the_rules_of_care(text: str) -> None:
    # Who sets up the tablet reads this one thing about addresses; nobody is told it aloud.
    assert fault(re.sub(r"\{\w+\}|https", "", text)) is None


@pytest.mark.parametrize("kind", DangerKind)
@pytest.mark.parametrize("risk", [Risk.URGENT, Risk.EMERGENCY])
@pytest.mark.parametrize("third", [False, True])
def test_every_danger_has_words_and_a_number_that_is_on_the_list(
    kind: DangerKind, risk: Risk, third: bool
) -> None:
    words = PHRASES.danger(kind, risk, third=third)
    assert words.say
    if kind is not DangerKind.REPEAT_CONTACT:
        assert words.call is not None and HOTLINES.find(words.call)


def test_poison_is_met_as_care_wants_it() -> None:
    words = PHRASES.danger(DangerKind.POISONING, Risk.EMERGENCY)
    assert words.call == "120" and "瓶" in words.say and "催吐" in words.say


@pytest.mark.parametrize("need", ["health", "medicine"])
def test_who_is_ill_always_hears_the_number(need: str) -> None:
    assert all("一二零" in PHRASES.usually(need, at) for at in range(2))


def test_a_line_that_is_closed_at_night_is_not_shown_then() -> None:
    assert HOTLINES.to_call("12356", datetime(2026, 1, 1, 3, 0).astimezone()) == "120"
    assert HOTLINES.to_call("12356", datetime(2026, 1, 1, 15, 0).astimezone()) == "12356"
    assert HOTLINES.to_call("120", datetime(2026, 1, 1, 3, 0).astimezone()) == "120"


def test_every_risk_stage_and_need_can_be_spoken_of() -> None:
    assert all(PHRASES.of("promise", risk) for risk in Risk)
    assert all(PHRASES.of("stage", stage) for stage in Stage)
    assert len(Need) == 23


@pytest.mark.parametrize("usually", [None, [], {"weather": ["晴。"]}, {"home": []}, {"home": "修。"}])
def test_what_usually_holds_is_checked_at_the_start(usually: object) -> None:
    table = yaml.safe_load((NLU_DATA / "phrases.yaml").read_text("utf-8"))
    with pytest.raises(PhrasesError, match="usually"):
        Phrases(table | {"usually": usually})


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    bad = tmp_path / "phrases.yaml"
    bad.write_text("danger: {suicide: {}}", "utf-8")
    with pytest.raises(PhrasesError, match="suicide"):
        Phrases.load(bad)
    bad.write_text("- {number: '120', at_night: '999', name: x}", "utf-8")
    with pytest.raises(HotlinesError, match="999"):
        Hotlines.load(bad)
