"""Lexicon and classifier together: who may raise, who may let down, and what happens when the classifier fails."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from handoff.model.danger import DangerScreen
from handoff.model.screening import Fusion, Screening, Suspicion
from handoff.model.words import DangerKind, Risk

LEXICON = DangerScreen.load(Path(__file__).resolve().parents[2] / "nlu_data" / "danger")


@dataclass
class Opinion:
    """Holds every text for as dangerous as the words it was told to fear make it."""

    fears: dict[str, float]
    kinds: dict[DangerKind, float]
    fusion: Fusion = Fusion(odds=1, emergency=4, urgent=2, attention=1, doubt=0.5, bias=0)

    def suspect(self, texts: Sequence[str]) -> list[Suspicion]:
        return [
            Suspicion(sum([-4.0, *(odds for word, odds in self.fears.items() if word in text)]), self.kinds)
            for text in texts
        ]


class Broken:
    """Fails as a runtime does."""

    fusion = Opinion({}, {}).fusion

    def suspect(self, texts: Sequence[str]) -> list[Suspicion]:
        raise RuntimeError("out of memory")


VEILED = "鸡都送人了，钥匙交给隔壁，往后用不着了"


def test_the_classifier_raises_what_the_lexicon_can_not_see_and_names_words_and_kind() -> None:
    opinion = Opinion(
        {"用不着": 9.0}, {DangerKind.SUICIDE: 0.9, DangerKind.FRAUD: 0.1, DangerKind.THIRD_PARTY: 0.2}
    )
    assert not LEXICON.screen("钥匙交给隔壁").risk.at_least(Risk.URGENT)
    found = Screening(LEXICON, opinion).screen(VEILED)
    assert found.risk is Risk.URGENT
    assert DangerKind.SUICIDE in found.kinds
    assert DangerKind.FRAUD not in found.kinds
    assert found.why and all(span in VEILED for span in found.why)
    assert any("用不着" in span for span in found.why) or LEXICON.screen(VEILED).why


def test_a_kind_is_named_even_where_none_is_likely() -> None:
    opinion = Opinion({"嗯嗯": 9.0}, {DangerKind.MEDICAL: 0.3, DangerKind.THIRD_PARTY: 0.9})
    found = Screening(LEXICON, opinion).screen("嗯嗯那个啥")
    assert found.kinds == (DangerKind.MEDICAL, DangerKind.THIRD_PARTY)


def test_an_emergency_never_falls() -> None:
    sure_of_peace = Opinion({"农药": -40.0}, {})
    text = "我把农药喝下去了"
    assert LEXICON.screen(text).risk is Risk.EMERGENCY
    assert Screening(LEXICON, sure_of_peace).screen(text).risk is Risk.EMERGENCY


def test_half_a_suspicion_is_worth_attention() -> None:
    found = Screening(LEXICON, Opinion({"用不着": 3.5}, {})).screen("那些都用不着了")
    assert found.risk is Risk.ATTENTION
    assert found.doubt


def test_half_a_suspicion_heard_badly_counts_as_danger() -> None:
    opinion = Opinion({"用不着": 3.5}, {DangerKind.SUICIDE: 0.5})
    found = Screening(LEXICON, opinion).screen("那些都用不着了", confidence=0.4)
    assert found.risk is Risk.URGENT
    assert DangerKind.ASR_DOUBT in found.kinds


def test_danger_that_only_another_reading_tells_of_is_doubtful_danger() -> None:
    screen = Screening(LEXICON)
    found = screen.screen_heard("空口疼得很", ("胸口疼得很，喘不上气", "空口藤得很"))
    assert (found.risk, found.kinds) == (Risk.URGENT, (DangerKind.ASR_DOUBT,))
    assert "".join(found.why) and all(word in "胸口疼得很，喘不上气" for word in found.why)


def test_readings_that_agree_on_everyday_life_raise_nothing() -> None:
    screen = Screening(LEXICON)
    assert screen.screen_heard("我想买两包盐", ("我想卖两包盐", "我想买两包烟")).risk is Risk.ROUTINE


def test_danger_that_is_heard_surely_is_what_it_is() -> None:
    screen = Screening(LEXICON)
    sure = screen.screen("我把农药喝下去了")
    assert screen.screen_heard("我把农药喝下去了", ("我把农药锁起来了",)) == sure


@pytest.mark.parametrize("text", ["我把农药喝下去了", "膝盖疼", "", "！！"])
def test_where_the_classifier_fails_the_lexicon_stands_and_it_is_told(text: str) -> None:
    told: list[Exception] = []
    found = Screening(LEXICON, Broken(), told.append).screen(text)
    assert found == LEXICON.screen(text)
    assert [type(fault) for fault in told] == [RuntimeError]


def test_many_are_screened_as_each_alone() -> None:
    opinion = Opinion({"用不着": 9.0, "疼": 1.0}, {DangerKind.SUICIDE: 0.9})
    screening = Screening(LEXICON, opinion)
    texts = [VEILED, "膝盖疼", "我把农药喝下去了", ""]
    assert screening.screen_all(texts) == [screening.screen(text) for text in texts]
