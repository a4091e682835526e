"""What the bot may say: short, plain, one question, and nothing that the rules of care forbid."""

from pathlib import Path

import pytest
import yaml

from handoff.model.sayable import fault, sentences

DOMAIN = Path(__file__).resolve().parents[2] / "bot" / "domain"
SPEECH = yaml.safe_load((DOMAIN / "responses.yml").read_text("utf-8"))["responses"]
EFFECTS = yaml.safe_load((DOMAIN / "effects.yml").read_text("utf-8"))["responses"]
LINES = [(name, variant["text"]) for name, variants in SPEECH.items() for variant in variants]


@pytest.mark.parametrize(("name", "text"), LINES)
def test_a_line_is_short_and_plain_and_keeps_to_the_rules_of_care(name: str, text: str) -> None:
    plain = text.replace("{quote}", "这件事")
    assert fault(plain) is None, name
    assert len(sentences(plain)) <= 4, name
    assert "?" not in plain
    assert not any(ch.isdigit() for ch in plain), f"{name}: numbers are written as spoken"


def test_everything_is_said_in_more_than_one_way_but_never_in_too_many() -> None:
    asked_by_need = {name for name in SPEECH if name.startswith("utter_ask_matter_")}
    assert {name for name in SPEECH if not 2 <= len(SPEECH[name]) <= 3} == asked_by_need


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("utter_emergency", {"一二零", "一一九", "一一零"}),
        ("utter_crisis", {"一二三五六"}),
        ("utter_abuse", {"一一零"}),
        ("utter_fraud", {"九六一一零", "一一零"}),
    ],
)
def test_danger_always_hears_the_number(name: str, numbers: set[str]) -> None:
    for variant in SPEECH[name]:
        assert all(number in variant["text"] for number in numbers)


def test_effects_are_the_agreed_ones() -> None:
    known = {"answer", "consult", "open_case", "hand_over", "status", "repeat", "pace", "stop", "withdraw"}
    found = {variant["custom"]["effect"] for variants in EFFECTS.values() for variant in variants}
    assert found == known
    assert not any("text" in variant for variants in EFFECTS.values() for variant in variants)
