"""Sentences to measure with: the project's own examples, in an order that never changes."""

import random
from functools import cache

import yaml

from connectors.settings import ROOT


@cache
def examples() -> tuple[tuple[str, str], ...]:
    """(intent, sentence) of every training example."""
    found = []
    for path in sorted((ROOT / "nlu_data" / "nlu").glob("*.yml")):
        for block in yaml.safe_load(path.read_text("utf-8"))["nlu"]:
            lines = str(block["examples"]).splitlines()
            found += [
                (str(block["intent"]), line.removeprefix("- ").strip())
                for line in lines
                if line.startswith("- ")
            ]
    return tuple(found)


def everyday(count: int, seed: int = 7) -> list[str]:
    """Sentences without danger, so that every one of them goes through Rasa."""
    calm = [
        text
        for intent, text in examples()
        if intent not in ("emergency", "crisis", "abuse", "fraud", "unclear")
    ]
    return _drawn(calm, count, seed)


def mixed(count: int, seed: int = 11) -> list[str]:
    """Sentences of every need, danger too."""
    return _drawn([text for _, text in examples()], count, seed)


def _drawn(texts: list[str], count: int, seed: int) -> list[str]:
    draw = random.Random(seed)  # noqa: S311  # a fixed order, not a secret
    return [draw.choice(texts) for _ in range(count)]
