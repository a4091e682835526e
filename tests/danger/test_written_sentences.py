"""The project's own sentences: well-formed, known words only, and none said twice."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from handoff.model.words import DangerKind, Need, Risk

DATA = Path(__file__).parents[2] / "nlu_data"
REGIONS = {"plain", "southwest", "jin", "northeast", "central"}
ENTITIES = {"who", "body", "since", "severity", "place", "money", "thing", "date"}
SIDES = ("veiled", "plain", "everyday")
TOO_ALIKE = 0.8  # of the pairs of neighbouring characters in either sentence
MARKED = re.compile(r"\[([^\[\]]*)\]\((\w+)\)")
SAID = sorted((DATA / "danger_said").glob("*.yaml"))
NEEDS = sorted((DATA / "nlu").glob("*.yml"))


def _situations(path: Path) -> list[dict]:
    return yaml.safe_load(path.read_text("utf-8"))


def _blocks(path: Path) -> Iterator[tuple[dict, list[str]]]:
    for block in yaml.safe_load(path.read_text("utf-8"))["nlu"]:
        lines = [line.strip() for line in block["examples"].splitlines() if line.strip()]
        yield block, [line[2:] if line.startswith("- ") else "" for line in lines]


@pytest.mark.parametrize("path", SAID, ids=lambda path: path.stem)
def test_danger_sentences_are_well_formed(path: Path):
    names = Counter(situation["situation"] for situation in _situations(path))
    assert max(names.values()) == 1
    for situation in _situations(path):
        assert set(situation) <= {"situation", "region", "kinds", "risk", *SIDES}, situation["situation"]
        assert situation["region"] in REGIONS
        assert set(situation.get("kinds", [])) <= set(DangerKind)
        if situation.get("veiled") or situation.get("plain"):
            assert Risk(situation["risk"]).at_least(Risk.URGENT)
            assert situation["kinds"]
        assert all(isinstance(text, str) for side in SIDES for text in situation.get(side, []))


@pytest.mark.parametrize("path", NEEDS, ids=lambda path: path.stem)
def test_examples_say_their_situation_and_mark_known_entities(path: Path):
    for block, lines in _blocks(path):
        assert block["intent"].split("_")[0] in set(Need)
        assert all(lines), f"{path.stem}: a line that does not begin with '- '"
        about = block.get("metadata")
        assert about is None or (set(about) == {"situation", "region"} and about["region"] in REGIONS)
        for line in lines:
            assert {name for _, name in MARKED.findall(line)} <= ENTITIES


def _pairs(text: str) -> frozenset[str]:
    letters = "".join(char for char in text if char.isalnum())
    return frozenset(letters[at : at + 2] for at in range(len(letters) - 1))


def _alike(texts: list[str]) -> list[tuple[int, int]]:
    """Places of sentences that are nearly one and the same; those under five characters may be."""
    holders: dict[str, list[int]] = defaultdict(list)
    found, pairs = [], [_pairs(text) for text in texts]
    for at, own in enumerate(pairs):
        if len(own) < 4:
            continue
        shared = Counter(other for pair in own for other in holders[pair])
        found += [(other, at) for other, n in shared.items() if n / len(own | pairs[other]) >= TOO_ALIKE]
        for pair in own:
            holders[pair].append(at)
    return found


@pytest.mark.parametrize("path", NEEDS, ids=lambda path: path.stem)
def test_no_example_is_nearly_another(path: Path):
    texts = [MARKED.sub(r"\1", line) for _, lines in _blocks(path) for line in lines]
    assert [(texts[one], texts[other]) for one, other in _alike(texts)] == []


@pytest.mark.parametrize("side", ["danger", "everyday"])
def test_no_danger_sentence_is_nearly_another(side: str):
    sides = ("everyday",) if side == "everyday" else ("veiled", "plain")
    texts = [
        text for path in SAID for situation in _situations(path) for name in sides for text in situation.get(name, [])
    ]  # fmt: skip
    assert [(texts[one], texts[other]) for one, other in _alike(texts)] == []
