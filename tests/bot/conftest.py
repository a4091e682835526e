"""A real Rasa, started as the service starts it: its own interpreter, its own process, loopback only."""

import hashlib
import json
import os
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BOT = ROOT / "bot"
EXAMPLES = ROOT / "nlu_data" / "nlu"
ENCODER = ROOT / "nlu_data" / "encoder"
# A copy of bot/ elsewhere still finds what it shares with the service.
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "XIANGYIN_ENCODER": str(ENCODER)}


def rasa_python() -> str:
    """Rasa's interpreter: XIANGYIN_RASA_PYTHON, else the one that `make` puts into bot/.venv."""
    found = os.environ.get("XIANGYIN_RASA_PYTHON") or str(BOT / ".venv" / "bin" / "python")
    if not Path(found).is_file():
        pytest.fail(f"no Rasa environment at {found}: set XIANGYIN_RASA_PYTHON or build bot/.venv")
    return found


def train(bot: Path, data: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """Runs a bot's own train.py, from a folder that is not the project's."""
    command = [rasa_python(), str(bot / "train.py"), "--data", str(data), "--out", str(out)]
    return subprocess.run(command, cwd="/", capture_output=True, text=True, check=False, env=ENVIRONMENT)


class Rasa:
    """One serve.py and what it wrote."""

    def __init__(self, bot: Path, model: Path, log: Path, port: int | None = None) -> None:
        self.port = port or _free_port()
        self.log = log
        command = [rasa_python(), str(bot / "serve.py"), "--model", str(model), "--port", str(self.port)]
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                command,
                cwd="/",
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=ENVIRONMENT,
            )
        assert self.process.stdout
        self.first_line = self.process.stdout.readline().decode()

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        """Status and decoded JSON of one request."""
        request = urllib.request.Request(  # noqa: S310
            f"http://127.0.0.1:{self.port}{path}", body, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def post(self, body: object) -> tuple[int, Any]:
        """One POST of a turn."""
        return self.ask("POST", "/webhooks/strict/turn", json.dumps(body).encode())

    def turn(self, text: str, state: object = None, answers: dict[str, str] | None = None) -> dict[str, Any]:
        """One turn that must be answered; `answers`: what the knowledge base is said to have."""
        metadata = {"channel": "kiosk", "speaker": "self", "answers": answers or {}}
        status, answer = self.post({"text": text, "sender": "test", "state": state, "metadata": metadata})
        assert status == 200, answer
        return answer

    def talk(self, *texts: str) -> list[dict[str, Any]]:
        """A conversation from its beginning, the state carried along."""
        answers: list[dict[str, Any]] = []
        for text in texts:
            answers.append(self.turn(text, answers[-1]["state"] if answers else None))
        return answers

    def stop(self) -> None:
        """Closes its standard input, waits, and leaves nothing open."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()


def texts(answer: dict[str, Any]) -> str:
    """All that was said, as one string."""
    return "".join(message.get("text", "") for message in answer["messages"])


def effects(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """What the service is to do, in order."""
    return [message["effect"] for message in answer["messages"] if "effect" in message]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _fingerprint() -> str:
    kinds = {".py", ".yml", ".lock"}
    inputs = [p for p in BOT.rglob("*") if p.suffix in kinds and ".venv" not in p.parts]
    digest = hashlib.sha256()
    shared = [ENCODER / "card.json", *(ROOT / "handoff" / "language").glob("*.py")]
    dialect = (ROOT / "nlu_data" / "dialect").glob("*.tsv")
    for path in sorted([*inputs, *shared, *dialect, *EXAMPLES.rglob("*.yml")]):
        digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()[:20]


@pytest.fixture(scope="session")
def model(request: pytest.FixtureRequest) -> Path:
    """The real model, trained again only when what it is made of has changed."""
    out = request.config.cache.mkdir("rasa") / f"{_fingerprint()}.tar.gz"
    if not out.exists():
        done = train(BOT, EXAMPLES, out)
        assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def rasa(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rasa]:
    """The real bot."""
    running = Rasa(BOT, model, tmp_path_factory.mktemp("rasa") / "log")
    yield running
    running.stop()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Rasa]]:
    """Starts further ones, all stopped at the end."""
    started: list[Rasa] = []

    def start_one(bot: Path, model: Path, port: int | None = None) -> Rasa:
        started.append(Rasa(bot, model, tmp_path / f"log{len(started)}", port))
        return started[-1]

    yield start_one
    for one in started:
        one.stop()
