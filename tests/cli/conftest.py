"""The command line inside this process, where nothing of standard input or of processes is at stake."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from connectors.cli.app import run_command
from handoff.store import sealed


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


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    """`here(data, "worker", "list", PORT="1")`: the command with settings in capitals."""
    # The key is one for a process; other tests have theirs.
    monkeypatch.setattr(sealed, "_default", [])

    def run(data: Path, *arguments: str, **settings: str) -> Done:
        with monkeypatch.context() as patch:
            for name, value in {"DATA": str(data), **settings}.items():
                patch.setenv(f"XIANGYIN_{name}", value)
            status = run_command([*arguments])
        said = capsys.readouterr()
        return Done(status, said.out, said.err)

    return run
