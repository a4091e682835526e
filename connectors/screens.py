"""The danger screen, put together: the project's lexicon, and the classifier where its encoder is there."""

from pathlib import Path

import structlog

from connectors.settings import ROOT
from handoff.language.dialect import Dialect
from handoff.model.danger import DangerScreen
from handoff.model.screening import Screening

LEXICON = ROOT / "nlu_data" / "danger"
DIALECT = ROOT / "nlu_data" / "dialect"


def danger_screen(encoder: Path | None, *, dialect: bool = True) -> Screening:
    """The screen; by the lexicon alone without `encoder`. LexiconError, DialectError and EncoderError name what
    is wrong."""
    lexicon = DangerScreen.load(LEXICON)
    mandarin = Dialect.load(DIALECT).mandarin if dialect else None
    if encoder is None:
        return Screening(lexicon, mandarin=mandarin)
    # Imported here, so that `screen --lexicon-only` starts without numpy and a runtime.
    from handoff.language.danger_classifier import DangerClassifier

    return Screening(lexicon, DangerClassifier.load(encoder), _tell, mandarin)


def _tell(fault: Exception) -> None:
    structlog.get_logger().error("screen.classifier_failed", fault=type(fault).__name__)
