"""Measures the danger screen: `python tests/danger/measure.py [--show]` prints one JSON object a set.

Found: danger lines that reach at least urgent; level and kinds: as the line asks; false alarms: everyday lines
(routine or attention) that reach urgent. Speed: lines a second over all lines, on one core.
"""

import json
import sys
import time
from pathlib import Path
from typing import NamedTuple

import yaml

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from handoff.model.danger import DangerScreen  # noqa: E402
from handoff.model.words import Risk  # noqa: E402


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


def main() -> None:
    """Load, warm up, and print the figures of each set."""
    screen = DangerScreen.load(HERE.parents[1] / "nlu_data" / "danger")
    for path in sorted(HERE.glob("*.yaml")):
        rows = lines(path)
        for row in rows:
            screen.screen(row.text)
        print(json.dumps({"set": path.stem} | measure(screen, rows, "--show" in sys.argv)))


if __name__ == "__main__":
    main()
