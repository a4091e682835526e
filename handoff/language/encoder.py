"""Sentences as vectors: a small pretrained encoder, tuned on this project's own sentences, run by onnxruntime."""

import hashlib
import json
import os
import unicodedata
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

MODEL, PIECES, CARD, HEADS = "encoder.onnx", "pieces.json", "card.json", "heads.npz"
_START, _END = 0, 2
_LONGEST = 96  # pieces; about 140 characters, beyond which the rest of a breath says little about its need
_SPACE = "\u2581"


class EncoderError(Exception):
    """The encoder's folder is missing, incomplete or damaged; the message names the file."""


class Encoder:
    """Turns texts into vectors of `size` numbers. Thread-safe; holds no text."""

    def __init__(self, folder: Path, *, threads: int = 0) -> None:
        """`folder` holds encoder.onnx, pieces.json and card.json; `threads`: texts read at once, 0 for one a core."""
        self.folder = folder
        self.card = _card(folder)
        self._pieces = _read_pieces(folder / PIECES)
        self._session = _session(folder / MODEL)
        self._threads = threads or os.cpu_count() or 1
        self.size = int(self._session.get_outputs()[0].shape[-1])

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """Float32 of shape (texts, size), a row a text; an empty text gives the vector of nothing said."""
        # Each text by itself: eight-bit activations are scaled by batch, so that company would change a vector, and
        # with it a verdict. Several at once on several cores is as fast as batches are.
        found = np.zeros((len(texts), self.size), np.float32)
        rows = self._pieces.ids(texts)
        if len(rows) < 2 or self._threads == 1:
            for at, row in enumerate(rows):
                found[at] = self._run(row)
            return found
        with ThreadPoolExecutor(min(self._threads, len(rows))) as pool:
            for at, vector in enumerate(pool.map(self._run, rows)):
                found[at] = vector
        return found

    def _run(self, row: list[int]) -> np.ndarray:
        ((vector,),) = self._session.run(None, {"ids": np.array([row], np.int64)})
        return np.asarray(vector)


class Pieces:
    """The encoder's vocabulary: a unigram model over runs of characters."""

    def __init__(self, pieces: Sequence[tuple[str, float]]) -> None:
        from tokenizers import Tokenizer, models

        self._tokenizer = Tokenizer(models.Unigram(list(pieces), unk_id=3, byte_fallback=False))

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The pieces of each text between a start and an end, cut off after `_LONGEST`."""
        # Lone surrogates and NULs, which a phone may send and the tokenizer can't take, are gone after `_plain`.
        plain = [_plain(text[: 4 * _LONGEST]) for text in texts]
        coded = self._tokenizer.encode_batch(plain, add_special_tokens=False)
        return [[_START, *code.ids[:_LONGEST], _END] for code in coded]


def _read_pieces(path: Path) -> Pieces:
    try:
        return Pieces([(str(piece), float(score)) for piece, score in json.loads(path.read_text("utf-8"))])
    except Exception as fault:  # the tokenizer raises bare exceptions
        raise EncoderError(f"{path} 读不出来（{type(fault).__name__}）") from fault


def _plain(text: str) -> str:
    """One width; signs that stand between the characters of a word, and blanks between single ones, left out."""
    narrow = unicodedata.normalize("NFKC", text).lower()
    kept = "".join(char for char in narrow if char.isspace() or unicodedata.category(char)[0] not in "CS")
    words = kept.split()
    if len(words) > 2 and len(kept.replace(" ", "")) <= 1.5 * len(words):
        words = ["".join(words)]
    return _SPACE + _SPACE.join(words)


def _card(folder: Path) -> dict[str, Any]:
    try:
        card = json.loads((folder / CARD).read_text("utf-8"))
        if card["sha256"] != hashlib.sha256((folder / MODEL).read_bytes()).hexdigest():
            raise EncoderError(f"{folder / MODEL} 与 {CARD} 里的校验值不符，文件可能没有取全")
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise EncoderError(f"{folder} 里没有完整的编码器（{type(fault).__name__}）") from fault
    return dict(card)


def _session(path: Path):  # type: ignore[no-untyped-def]  # onnxruntime has no types
    # Imported here: whoever screens by the lexicon alone does not load a runtime.
    os.environ.setdefault("ORT_LOGGING_LEVEL", "3")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as fault:  # the runtime raises types of its own for every kind of damage
        raise EncoderError(f"{path} 打不开（{type(fault).__name__}）") from fault
