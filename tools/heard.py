"""What recognisers really make of spoken sentences, and how near the generator of recognition errors comes to it.

    python -m tools.heard            measure, write docs/mishearing.md and nlu_data/held_back/heard.json

Every sentence is spoken by one of the neural voices, sent through a telephone line (8 kHz, A-law, noise 22 dB below the
voice) and read by each Chinese recogniser that is installed. What was heard is kept in --cache, so that a run that was
broken off goes on where it stopped. Our own sentences show what kinds of errors there are; the held-back ones are
measured by `make evaluate` with the words of the recogniser in place of invented errors.
"""

import argparse
import hashlib
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import yaml

from connectors.cli.speech import model_store
from connectors.settings import ROOT, Settings
from handoff.language.mishearing import Mishearing
from tools.encoder.corpus import examples, said
from voice.audio import Sound
from voice.choice import choose
from voice.kokoro import RATE, Kokoro
from voice.recognise import Recogniser
from voice.speech_text import speakable
from voice.telephone import over_telephone

OUT = ROOT / "docs" / "mishearing.md"
HEARD = ROOT / "nlu_data" / "held_back" / "heard.json"
NOISE_DB = 22.0
SPEEDS = (0.8, 0.9, 1.0)
OURS, NEEDS_EACH, DANGER = 120, 10, 140
KINDS = ("same sound", "near sound", "same final", "same initial", "other sound")


def chosen() -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """(id, text) of our own sentences, and of the held-back ones: the first of each need, and of danger spread evenly."""
    rows = [one for one in (*examples(), *said()) if 5 <= len(one.text) <= 40]
    ours = random.Random(5).sample(rows, OURS)  # noqa: S311
    held = []
    needs = yaml.safe_load((ROOT / "nlu_data" / "held_back" / "needs.yaml").read_text("utf-8"))
    count: Counter[str] = Counter()
    for row in needs:
        count[row["need"]] += 1
        if count[row["need"]] <= NEEDS_EACH:
            held.append((row["id"], row["text"]))
    danger = yaml.safe_load((ROOT / "nlu_data" / "held_back" / "danger.yaml").read_text("utf-8"))
    held += [(row["id"], row["text"]) for row in danger[:: max(1, len(danger) // DANGER)]]
    return [(f"own-{at}", one.text) for at, one in enumerate(ours)], held


class Line:
    """Speaks, sends through the telephone, and reads back; remembers what it has done."""

    def __init__(self, settings: Settings, cache: Path) -> None:
        store = model_store(settings)
        self._voice = Kokoro(store.folder / "kokoro-zh")
        self._ears: dict[str, Recogniser] = {}
        for prefer in ("whisper", "vosk"):
            # The Korean model that the tests use understands no Chinese.
            if prefer == "whisper" or store.state("vosk-small-cn") == "present":
                self._ears[prefer] = choose(store, prefer=prefer)
        self._cache = cache
        cache.parent.mkdir(parents=True, exist_ok=True)
        lines = cache.read_text("utf-8").splitlines() if cache.is_file() else []
        self._known: dict[str, dict[str, str]] = {key: heard for key, heard in map(json.loads, lines)}

    @property
    def engines(self) -> list[str]:
        """The recognisers that read along."""
        return [*self._ears]

    def hear(self, text: str) -> dict[str, str]:
        """By engine, what was made of the text."""
        key = hashlib.sha256(f"{NOISE_DB}|{','.join(self._ears)}|{text}".encode()).hexdigest()[:24]
        if key not in self._known:
            dice = random.Random(key)  # noqa: S311
            voice, speed = dice.choice(self._voice.voices), dice.choice(SPEEDS)
            spoken = Sound(self._voice.speak(speakable(text), voice, speed), RATE)
            sound = over_telephone(spoken, noise_db=NOISE_DB, seed=int(key[:8], 16))
            self._known[key] = {name: ear.transcribe(sound).text for name, ear in self._ears.items()}
            with self._cache.open("a", encoding="utf-8") as file:
                file.write(json.dumps([key, self._known[key]], ensure_ascii=False) + "\n")
        return self._known[key]


def bare(text: str) -> str:
    """Chinese characters only."""
    return "".join(re.findall("[\u4e00-\u9fff]", text))


def errors(meant: str, heard: str) -> Iterator[tuple[str, str]]:
    """(character meant or "", character heard or "") wherever the two differ."""
    a, b = bare(meant), bare(heard)
    for what, i, j, k, m in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if what == "equal":
            continue
        left, right = a[i:j], b[k:m]
        for at in range(max(len(left), len(right))):
            yield left[at : at + 1], right[at : at + 1]


def profile(pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    """Of all character errors: how many, and what share is lost, put in, or changed to which kind of sound."""
    words = Mishearing()._words  # noqa: SLF001  (its own table of sounds: what it calls near)
    found: Counter[str] = Counter()
    length = sum(len(bare(meant)) for meant, _ in pairs)
    for meant, heard in pairs:
        for left, right in errors(meant, heard):
            if not left or not right:
                found["lost" if left else "put in"] += 1
                continue
            one, other = words.sounds_of(left)[0], words.sounds_of(right)[0]
            near = other in words.near(one)
            alike = [one == other, near, _end(one) == _end(other), one[:1] == other[:1], True]
            found[KINDS[alike.index(True)]] += 1
    total = sum(found.values())
    return {"character errors": total / max(length, 1)} | {
        kind: found[kind] / max(total, 1) for kind in ("lost", "put in", *KINDS)
    }


def _end(sound: str) -> str:
    return re.sub("^(zh|ch|sh|[bpmfdtnlgkhjqxrzcsyw])", "", sound)


def write(out: Path, rows: dict[str, list[tuple[str, str]]]) -> None:
    """The page."""
    profiles = {name: profile(pairs) for name, pairs in rows.items()}
    real, made = (profiles[name] for name in list(profiles)[-2:])
    kinds = ("lost", "put in", *KINDS)
    apart = sum(abs(real[kind] - made[kind]) for kind in kinds) / 2
    lines = [
        "# Recognition errors: the generator beside real recognisers", "",
        f"Written by `make heard`: {OURS} of our own sentences (seed 5), spoken by the eight neural voices at 0.8–1.0 of their",
        f"speed, sent through a telephone line (8 kHz, A-law, white noise {NOISE_DB:.0f} dB below the voice), read by each Chinese",
        "recogniser that was installed. A synthetic voice speaks Mandarin, whatever the wording: real dialect is harder.",
        "The generator (`handoff/language/mishearing.py`) was set to the same share of wrong characters.", "",
        "| of all wrong characters | " + " | ".join(profiles) + " |", "| --- |" + " --- |" * len(profiles),
    ]  # fmt: skip
    for kind in ("character errors", *kinds):
        lines.append(f"| {kind} | " + " | ".join(f"{one[kind]:.3f}" for one in profiles.values()) + " |")
    lines += [
        "", f"Share of the errors that would have to be of another kind for the two to agree (last two columns): {apart:.3f}.", "",
        "`near sound`: one loose initial or final (n/l, f/h, zh/z, -n/-ng …) by the generator's own table; `same final` and",
        "`same initial`: the rest of the syllable is right. The first row is the share of the characters meant.", "",
    ]  # fmt: skip
    out.write_text("\n".join(lines), "utf-8")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "xiangyin" / "heard.jsonl")
    parser.add_argument(
        "--first", type=int, help="only so many of each set, for a try; writes no held-back file"
    )
    args = parser.parse_args()
    line = Line(Settings(), args.cache)
    ours, held = (part[: args.first] for part in chosen())
    begun, heard = time.monotonic(), {}
    for at, (name, text) in enumerate([*ours, *held], 1):
        heard[name] = line.hear(text)
        if sys.stderr.isatty() or at % 20 == 0:
            print(
                f"\r{at} of {len(ours) + len(held)}, {time.monotonic() - begun:.0f} s",
                end="",
                file=sys.stderr,
            )
    print(file=sys.stderr)
    rows = {name: [(text, heard[at][name]) for at, text in ours] for name in line.engines}
    first = rows[line.engines[0]]
    rate = profile(first)["character errors"]
    mishearing = Mishearing(5)
    rows = {**{k: v for k, v in rows.items() if k != line.engines[0]}, line.engines[0]: first}
    rows["the generator"] = [(text, mishearing.hear(text, rate)) for _, text in ours]
    write(args.out, rows)
    if args.first is None:
        kept: dict[str, Any] = {name: heard[name][line.engines[0]] for name, _ in held}
        HEARD.write_text(json.dumps(kept, ensure_ascii=False, indent=0) + "\n", "utf-8")
    print(args.out)


if __name__ == "__main__":
    main()
