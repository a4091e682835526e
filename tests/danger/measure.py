"""Measures the danger screen: `python tests/danger/measure.py [--show] [--nlu odd|even]`, one JSON object a set.

Found: danger lines that reach at least urgent; level and kinds: as the line asks; false alarms: everyday lines
(routine or attention) that reach urgent. Speed: lines a second over all lines, on one core.

`--nlu` takes the training sentences instead, every second one, counted from 0: the even ones are for reading and
tuning, the odd ones for rates only, so `--show` keeps silent there. Their intents give the truth: emergency, crisis and abuse must
reach urgent, fraud at least attention (asked before acting), all others stay below urgent.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))

from handoff.model.danger import DangerScreen  # noqa: E402
from handoff.model.words import Risk  # noqa: E402

FLOOR = {"emergency": Risk.URGENT, "crisis": Risk.URGENT, "abuse": Risk.URGENT, "fraud": Risk.ATTENTION}


class Line(NamedTuple):
    """One sentence with what it must raise."""

    risk: Risk
    kinds: frozenset[str]
    text: str


def lines(path: Path) -> list[Line]:
    """The lines of one set of sentences."""
    groups = yaml.safe_load(path.read_text(encoding="utf-8"))
    rows = [(spec.split(), text) for group in groups.values() for spec, text in group]
    return [Line(Risk(spec[0]), frozenset(spec[1:]), text) for spec, text in rows]


def spoken(path: Path, half: str) -> list[str]:
    """The odd (1, 3, ...) or even (0, 2, ...) sentences of one file of training sentences."""
    page = yaml.safe_load(path.read_text(encoding="utf-8"))
    said = [
        line.strip()[2:].strip()
        for entry in page["nlu"]
        for line in entry.get("examples", "").splitlines()
        if line.strip().startswith("- ")
    ]
    return said[half == "odd" :: 2]


def measure(screen: DangerScreen, rows: list[Line], show: bool) -> dict[str, float]:
    """Shares between 0 and 1, and lines a second."""
    started = time.perf_counter()
    found = [screen.screen(row.text) for row in rows]
    took = time.perf_counter() - started
    pairs = list(zip(rows, found, strict=True))
    danger = [(row, got) for row, got in pairs if row.risk.at_least(Risk.URGENT)]
    calm = [(row, got) for row, got in pairs if not row.risk.at_least(Risk.URGENT)]
    alarms = [row.text for row, got in calm if got.risk.at_least(Risk.URGENT)]
    missed = [row.text for row, got in danger if not got.risk.at_least(Risk.URGENT)]
    if show:
        print(*(f"alarm  {text}" for text in alarms), *(f"missed {text}" for text in missed), sep="\n")
    return {
        "danger": len(danger),
        "found": round(1 - len(missed) / len(danger), 3),
        "level": round(sum(got.risk.at_least(row.risk) for row, got in danger) / len(danger), 3),
        "kinds": round(sum(row.kinds <= set(got.kinds) for row, got in danger) / len(danger), 3),
        "everyday": len(calm),
        "false_alarms": round(len(alarms) / len(calm), 3),
        "lines_per_s": round(len(rows) / took),
    }


def halves(screen: DangerScreen, half: str, show: bool) -> Iterator[dict[str, object]]:
    """For each intent how many sentences are raised, then all danger and all everyday ones together."""
    sums = {True: [0, 0], False: [0, 0]}
    for path in sorted((ROOT / "nlu_data" / "nlu").glob("*.yml")):
        floor = FLOOR.get(path.stem)
        said = spoken(path, half)
        raised = [screen.screen(text).risk.at_least(floor or Risk.URGENT) for text in said]
        if show and half == "even":
            wrong = "alarm " if floor is None else "missed"
            wanted = floor is not None
            print(*(f"{wrong} {t}" for t, r in zip(said, raised, strict=True) if r != wanted), sep="\n")
        sums[floor is not None][0] += sum(raised)
        sums[floor is not None][1] += len(said)
        yield {"intent": path.stem, "lines": len(said), "raised": round(sum(raised) / len(said), 3)}
    for danger, (raised_all, of) in sums.items():
        yield {"all": "danger" if danger else "everyday", "lines": of, "raised": round(raised_all / of, 3)}


def main() -> None:
    """Load, warm up, and print the figures of each set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--show", action="store_true", help="print the sentences that are wrong")
    parser.add_argument(
        "--nlu", choices=("odd", "even"), help="half of the training sentences instead of the sets"
    )
    options = parser.parse_args()
    screen = DangerScreen.load(ROOT / "nlu_data" / "danger")
    if options.nlu:
        for figures in halves(screen, options.nlu, options.show):
            print(json.dumps(figures))
        return
    for path in sorted(HERE.glob("*.yaml")):
        rows = lines(path)
        for row in rows:
            screen.screen(row.text)
        print(json.dumps({"set": path.stem} | measure(screen, rows, options.show)))


if __name__ == "__main__":
    main()
