"""Runs the real command `xiangyin` as a process of its own; and what comes of one that runs inside the tests'."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "connectors.cli")


def environment(data: Path, **settings: str) -> dict[str, str]:
    """A folder of its own; whatever else is set outside (Rasa's Python, the models) stays."""
    return (
        os.environ
        | {"XIANGYIN_DATA": str(data)}
        | {f"XIANGYIN_{name}": value for name, value in settings.items()}
    )


def xiangyin(
    data: Path, *arguments: str, given: bytes | str = b"", patience_s: float = 60, **settings: str
) -> subprocess.CompletedProcess[bytes]:
    """Run to the end; `settings` in capitals, without the prefix."""
    return subprocess.run(
        [*COMMAND, *arguments],
        input=given.encode() if isinstance(given, str) else given,
        capture_output=True, timeout=patience_s, check=False, cwd=ROOT, env=environment(data, **settings),
    )  # fmt: skip


def objects(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, Any]]:
    """Standard output as one JSON object a line."""
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


@dataclass(frozen=True)
class Done:
    """What came of a command."""

    status: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """Standard output as one JSON object a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def complaint(self) -> str:
        """The one plain sentence of a failed command."""
        assert self.status == 1
        assert self.out == ""
        assert self.err.count("\n") == 1, self.err
        return self.err


Here = Callable[..., Done]
