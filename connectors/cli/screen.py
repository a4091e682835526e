"""The danger screen alone; loads nothing of the service, so that it begins at once."""

from pathlib import Path

from connectors.cli.streams import print_json, read_blocks
from connectors.screens import danger_screen

TOGETHER = 64  # lines that the classifier reads in one go


def screen_lines(encoder: Path | None) -> None:
    """The danger screen alone; without an encoder's folder by the lexicon only."""
    screen = danger_screen(encoder)
    for lines in read_blocks():
        for start in range(0, len(lines), TOGETHER):
            batch = lines[start : start + TOGETHER]
            for text, found in zip(batch, screen.screen_all(batch), strict=True):
                print_json({"text": text, "risk": found.risk, "kinds": [*found.kinds], "why": [*found.why]})
