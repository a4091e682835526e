"""The danger screen alone; loads nothing of the service, so that it begins at once."""

from connectors.cli.streams import print_json, read_lines
from connectors.settings import ROOT
from handoff.model.danger import DangerScreen


def screen_lines() -> None:
    """The danger screen alone."""
    screen = DangerScreen.load(ROOT / "nlu_data" / "danger")
    for text in read_lines():
        found = screen.screen(text)
        print_json({"text": text, "risk": found.risk, "kinds": [*found.kinds], "why": [*found.why]})
