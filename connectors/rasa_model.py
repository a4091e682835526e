"""Trains Rasa's model only when something it is made of has changed."""

import asyncio
import hashlib
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from connectors.errors import ConnectorError
from connectors.settings import ROOT, Settings

KEPT = 2
"""So many trained models are kept: the one in use, and the one before it."""


def _inputs() -> Iterator[Path]:
    """Everything that the model depends on; not the examples' provenance, nor tests."""
    bot = ROOT / "bot"
    for folder, pattern in (
        (bot / "data", "*.yml"),
        (bot / "domain", "*.yml"),
        (bot / "components", "*.py"),
        (ROOT / "handoff" / "language", "*.py"),
        (ROOT / "nlu_data" / "nlu", "*.yml"),
        (ROOT / "nlu_data" / "dialect", "*.tsv"),
    ):
        yield from sorted(folder.rglob(pattern))
    yield from (bot / "config.yml", bot / "train.py", bot / "requirements.lock")


def fingerprint(encoder: Path) -> str:
    """Sixteen hex digits that change with any input of the model."""
    digest = hashlib.sha256()
    for path in _inputs():
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    # The card names the encoder's checksum: the encoder itself need not be read.
    card = encoder / "card.json"
    digest.update(card.read_bytes() if card.is_file() else b"")
    return digest.hexdigest()[:16]


def rasa_environment(settings: Settings) -> dict[str, str]:
    """The environment of Rasa's processes: ours, and where the encoder is."""
    return os.environ | {"XIANGYIN_ENCODER": str(settings.encoder.resolve())}


def model_path(settings: Settings) -> Path:
    """Where the model for today's inputs lies, or will."""
    return settings.rasa_models / f"{fingerprint(settings.encoder)}.tar.gz"


async def ensure_model(settings: Settings, say: Callable[[str], None]) -> Path:
    """The trained model for today's inputs; trains it with progress lines if it is not there."""
    path = model_path(settings)
    if is_whole(path):
        return path
    if not settings.rasa_python.is_file():
        raise ConnectorError("no_rasa", f"没有 Rasa 的环境（{settings.rasa_python}）。请先运行 make setup。")
    path.parent.mkdir(parents=True, exist_ok=True)
    say("正在训练对话模型（内容有变动时才需要，约一两分钟）……")
    await _train(settings, path, say)
    for old in sorted(path.parent.glob("*.tar.gz"), key=lambda file: file.stat().st_mtime)[:-KEPT]:
        old.unlink(missing_ok=True)
    return path


def is_whole(path: Path) -> bool:
    """Whether a trained model is there and can be read to its end."""
    try:
        with tarfile.open(path) as archive:
            return all(archive.extractfile(member) is not None or not member.isfile() for member in archive)
    except (tarfile.TarError, EOFError, zlib.error, OSError):
        return False


async def _train(settings: Settings, path: Path, say: Callable[[str], None]) -> None:
    unfinished = path.with_suffix(".part.tar.gz")
    process = await asyncio.create_subprocess_exec(
        settings.rasa_python, ROOT / "bot" / "train.py", "--data", ROOT / "nlu_data" / "nlu", "--out", unfinished,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env=rasa_environment(settings),
    )  # fmt: skip
    try:
        last = ""
        if process.stdout is not None:
            async for line in process.stdout:
                last = line.decode("utf-8", "replace").rstrip()
                say(f"  {last}")
        if await process.wait() != 0:
            raise ConnectorError("training_failed", f"对话模型没有训练成：{last}")
        unfinished.replace(path)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        unfinished.unlink(missing_ok=True)
