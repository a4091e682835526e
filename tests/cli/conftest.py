"""The command line inside this process, where nothing of standard input or of processes is at stake."""

from pathlib import Path

import pytest
from xiangyin_command import Done, Here

from connectors.cli.app import run_command
from handoff.store import sealed


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
