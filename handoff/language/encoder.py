"""Sentences as vectors: a small pretrained encoder, tuned on this project's own sentences, run by onnxruntime."""

import hashlib
import json
import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

MODEL, PIECES, CARD, HEADS = "encoder.onnx", "pieces.json", "card.json", "heads.npz"
_START, _PAD, _END = 0, 1, 2
_LONGEST = 96  # pieces; about 140 characters, beyond which the rest of a breath says little about its need
_BATCH = 32
_SPACE = "\u2581"


class EncoderError(Exception):
    """The encoder's folder is missing, incomplete or damaged; the message names the file."""


class Encoder:
    """Turns texts into vectors of `size` numbers. Thread-safe; holds no text."""

    def __init__(self, folder: Path, *, threads: int = 0) -> None:
        """`folder` holds encoder.onnx, pieces.json and card.json; `threads` 0 leaves it to the machine."""
        self.folder = folder
        self.card = _card(folder)
        self._pieces = _read_pieces(folder / PIECES)
        self._session = _session(folder / MODEL, threads)
        self.size = int(self._session.get_outputs()[0].shape[-1])

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """Float32 of shape (texts, size), a row a text; an empty text gives the vector of nothing said."""
        rows = self._pieces.ids(texts)
        found = np.zeros((len(rows), self.size), np.float32)
        # Sentences of like length share a batch, so that little is spent on padding.
        order = sorted(range(len(rows)), key=lambda at: len(rows[at]))
        for start in range(0, len(order), _BATCH):
            part = order[start : start + _BATCH]
            found[part] = self._run([rows[at] for at in part])
        return found

    def _run(self, rows: list[list[int]]) -> np.ndarray:
        ids = np.full((len(rows), max(map(len, rows))), _PAD, np.int64)
        for at, row in enumerate(rows):
            ids[at, : len(row)] = row
        (vectors,) = self._session.run(None, {"ids": ids})
        return np.asarray(vectors)


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


def _session(path: Path, threads: int):  # type: ignore[no-untyped-def]  # onnxruntime has no types
    # Imported here: whoever screens by the lexicon alone does not load a runtime.
    os.environ.setdefault("ORT_LOGGING_LEVEL", "3")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as fault:  # the runtime raises types of its own for every kind of damage
        raise EncoderError(f"{path} 打不开（{type(fault).__name__}）") from fault
