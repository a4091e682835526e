"""This project's own sentences with what they teach: the need, danger or not, and the kinds of danger."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

DATA = Path(__file__).resolve().parents[2] / "nlu_data"
NEEDS = (
    "emergency crisis abuse fraud health medicine emotion family benefits insurance care goods farm home legal "
    "papers digital transport status complaint human talk unclear"
).split()
KINDS = (
    "suicide self_harm poisoning medical fall stroke fire_gas violence neglect fraud missing hazard third_party"
).split()
FOLDS = 10
_MARKED = re.compile(r"\[([^\[\]]*)\]\(\w+\)")
_NEED_OF_KIND = {
    "suicide": "crisis", "self_harm": "crisis", "medical": "emergency", "fall": "emergency", "stroke": "emergency",
    "fire_gas": "emergency", "missing": "emergency", "poisoning": "emergency", "violence": "abuse",
    "neglect": "abuse", "fraud": "fraud",
}  # fmt: skip
_IS_DANGER = {"emergency", "crisis", "abuse"}


@dataclass(frozen=True)
class Sentence:
    """One written sentence. `need` and `danger` are None where the sentence does not teach them.

    how: `example` (of a need), `veiled`, `plain`, `everyday`, or `answer` (a word or two that alone are no danger);
    situation: what must not be split between learning and measuring.
    """

    text: str
    how: str
    situation: str
    region: str | None
    need: str | None = None
    danger: bool | None = None
    kinds: frozenset[str] | None = None

    @property
    def fold(self) -> int:
        """1 to 10, the same for all sentences of a situation."""
        return int(hashlib.md5(self.situation.encode(), usedforsecurity=False).hexdigest(), 16) % FOLDS + 1


def examples(folder: Path = DATA / "nlu") -> Iterator[Sentence]:
    """The examples of the needs. A line without a situation is one of its own."""
    for path in sorted(folder.glob("*.yml")):
        for block in yaml.safe_load(path.read_text("utf-8"))["nlu"]:
            need, about = block["intent"].split("_")[0], block.get("metadata") or {}
            danger = True if need in _IS_DANGER else None if need == "fraud" else False
            for at, line in enumerate(block["examples"].splitlines()):
                if line.strip().startswith("- "):
                    text = _MARKED.sub(r"\1", line.strip()[2:].strip())
                    situation = f"{need}:{about.get('situation', f'old{at}')}"
                    kinds = frozenset() if danger is False else None
                    yield Sentence(text, "example", situation, about.get("region"), need, danger, kinds)


def said(folder: Path = DATA / "danger_said") -> Iterator[Sentence]:
    """The danger sentences and the everyday ones beside them."""
    for path in sorted(folder.glob("*.yaml")):
        for scene in yaml.safe_load(path.read_text("utf-8")):
            kinds = [kind for kind in scene.get("kinds", []) if kind in KINDS]
            name, region = f"{path.stem}:{scene['situation']}", scene["region"]
            for how in ("veiled", "plain"):
                for text in scene.get(how) or []:
                    yield Sentence(text, how, name, region, _need(kinds), True, frozenset(kinds))
            how = "answer" if path.stem == "short" else "everyday"
            for text in scene.get("everyday") or []:
                yield Sentence(text, how, name, region, None, False, frozenset())


def answers(path: Path = DATA.parent / "bot" / "data" / "answers.yml") -> Iterator[Sentence]:
    """What the dialogue's questions are answered with. Each is a situation of its own."""
    for block in yaml.safe_load(path.read_text("utf-8"))["nlu"]:
        for line in block["examples"].splitlines():
            if text := line.strip().removeprefix("- "):
                yield Sentence(
                    _MARKED.sub(r"\1", text), "answer", f"answer:{text}", None, None, False, frozenset()
                )


def _need(kinds: list[str]) -> str | None:
    if {"suicide", "self_harm"} & set(kinds):
        return "crisis"
    return next((_NEED_OF_KIND[kind] for kind in kinds if kind in _NEED_OF_KIND), None)


def fingerprint() -> str:
    """Sixteen hex digits of all the files that teach the encoder."""
    digest = hashlib.sha256()
    told = [*(DATA / "nlu").glob("*.yml"), *(DATA / "danger_said").glob("*.yaml")]
    for path in [*sorted(told), DATA.parent / "bot" / "data" / "answers.yml"]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
