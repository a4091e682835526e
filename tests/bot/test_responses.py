"""What the bot may say: short, plain, one question, and nothing that the rules of care forbid."""

import re
from pathlib import Path

import pytest
import yaml

DOMAIN = Path(__file__).resolve().parents[2] / "bot" / "domain"
SPEECH = yaml.safe_load((DOMAIN / "responses.yml").read_text("utf-8"))["responses"]
EFFECTS = yaml.safe_load((DOMAIN / "effects.yml").read_text("utf-8"))["responses"]
LINES = [(name, variant["text"]) for name, variants in SPEECH.items() for variant in variants]

FORBIDDEN = re.compile(
    r"放心|没事|不要紧的病|一定能|保证|肯定能|包您|准能|您得的是|您这是.{0,4}(病|炎|症)|应该是.{0,6}(病|炎|症)"
    r"|[一二三四五六七八九十半两\d]+(片|粒|毫克|毫升|支|颗)|不用打一二零|先别打一二零|不必打|别叫救护车"
    r"|能领到|能报销\d|给您钱|催吐"
)


@pytest.mark.parametrize(("name", "text"), LINES)
def test_a_line_is_short_plain_and_asks_at_most_one_thing(name: str, text: str) -> None:
    assert text.count("？") <= 1, name
    assert "?" not in text
    sentences = [s for s in re.split(r"[。？！]", text.replace("{quote}", "")) if s]
    assert len(sentences) <= 4, name
    assert max(map(len, sentences)) <= 40, name
    assert not re.search(r"[A-Za-z0-9]", re.sub(r"\{\w+\}", "", text)), (
        f"{name}: numbers are written as spoken"
    )


@pytest.mark.parametrize(("name", "text"), LINES)
def test_a_line_keeps_to_the_rules_of_care(name: str, text: str) -> None:
    assert not FORBIDDEN.search(text), name
    assert "你" not in text, name


def test_everything_is_said_in_more_than_one_way_but_never_in_too_many() -> None:
    assert {name for name, variants in SPEECH.items() if not 2 <= len(variants) <= 3} == set()


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("utter_emergency", {"一二零", "一一九", "一一零"}),
        ("utter_crisis", {"一二三五六"}),
        ("utter_abuse", {"一一零"}),
        ("utter_fraud", {"九六一一零", "一一零"}),
        ("utter_health_next", {"一二零"}),
        ("utter_medicine", {"一二零"}),
    ],
)
def test_danger_always_hears_the_number(name: str, numbers: set[str]) -> None:
    for variant in SPEECH[name]:
        assert all(number in variant["text"] for number in numbers)


def test_effects_are_the_agreed_ones() -> None:
    known = {"open_case", "hand_over", "status", "repeat", "pace", "stop", "withdraw"}
    found = {variant["custom"]["effect"] for variants in EFFECTS.values() for variant in variants}
    assert found == known
    assert not any("text" in variant for variants in EFFECTS.values() for variant in variants)
