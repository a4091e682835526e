"""The danger screen, put together: the project's lexicon, and the classifier where its encoder is there."""

from functools import cache
from pathlib import Path

import structlog

from connectors.errors import ConnectorError
from connectors.settings import ROOT
from handoff.language.dialect import Dialect, DialectError
from handoff.model.danger import DangerScreen
from handoff.model.screening import Screening

LEXICON = ROOT / "nlu_data" / "danger"
DIALECT = ROOT / "nlu_data" / "dialect"


@cache
def load_dialect(folder: Path = DIALECT) -> Dialect:
    """The dialect lexicon, read once; ConnectorError names file and line of what is wrong."""
    try:
        return Dialect.load(folder)
    except DialectError as error:
        raise ConnectorError("bad_dialect", f"方言词表用不了：{error}。") from error


def danger_screen(encoder: Path | None, *, dialect: bool = True) -> Screening:
    """The screen; by the lexicon alone without `encoder`. LexiconError, ConnectorError and EncoderError name what
    is wrong."""
    lexicon = DangerScreen.load(LEXICON)
    mandarin = load_dialect().mandarin if dialect else None
    if encoder is None:
        return Screening(lexicon, mandarin=mandarin)
    # Imported here, so that `screen --lexicon-only` starts without numpy and a runtime.
    from handoff.language.danger_classifier import DangerClassifier

    return Screening(lexicon, DangerClassifier.load(encoder), _tell, mandarin)


def _tell(fault: Exception) -> None:
    structlog.get_logger().error("screen.classifier_failed", fault=type(fault).__name__)
