"""Graph components of our own, named in config.yml."""

import sys
from pathlib import Path

# `handoff.language` is shared with the service: one encoder, one dialect lexicon. Rasa's own commands start in bot/.
ROOT = str(Path(__file__).resolve().parents[2])
if ROOT not in sys.path:
    sys.path.append(ROOT)
