"""Bad use, bad settings, a taken port, a folder that can't be written: one plain sentence, never a traceback."""

import socket
from pathlib import Path

import pytest
from xiangyin_command import Here, xiangyin

COMMANDS = [
    (), ("run",), ("understand",), ("screen",), ("replay",), ("transcribe",), ("say",), ("talk",), ("train",), ("doctor",),
    ("bench",), ("demo",), ("models",), ("models", "list"), ("models", "fetch"), ("worker",), ("worker", "add"),
    ("worker", "list"), ("worker", "disable"),
]  # fmt: skip

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    from connectors.cli.app import run_command

    assert run_command([*command, "--help"]) == 0
    assert "--help" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["nosuch"],
        ["run", "--port", "abc"],
        ["say"],
        ["say", "你好"],
        ["replay"],
        ["screen", "--nosuch"],
        ["worker", "nosuch"],
    ],
    ids=" ".join,
)
def test_bad_use_is_told_in_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    from connectors.cli.app import run_command

    assert run_command(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "用法不对" in said.err
    assert "--help" in said.err


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "abc"), ("PORT", "70000"), ("RECOGNISER", "siri"), ("DIALOGUE_TIMEOUT_S", "-1")],
)
def test_settings_that_make_no_sense(here: Here, tmp_path: Path, name: str, value: str) -> None:
    said = here(tmp_path, "run", **{name: value}).complaint
    assert f"XIANGYIN_{name}" in said
    assert value not in said


def test_a_taken_port(tmp_path: Path) -> None:
    settings = {"RASA_URL": "http://127.0.0.1:9", "WARM_VOICES": "false"}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = xiangyin(tmp_path, "run", "--port", str(taken.getsockname()[1]), **settings)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr.decode()
    assert "端口" in done.stderr.decode()


def test_a_data_folder_that_is_a_file(here: Here, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("x")
    assert here(tmp_path / "data", "worker", "list").complaint


def test_a_data_folder_below_a_file(here: Here, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("x")
    assert here(tmp_path / "data" / "below", "worker", "list").complaint


def test_a_full_disk(here: Here, tmp_path: Path) -> None:
    (tmp_path / "xiangyin.db").symlink_to("/dev/full")
    assert "disk_full" in here(tmp_path, "worker", "list").complaint


def test_a_store_that_is_no_store(here: Here, tmp_path: Path) -> None:
    (tmp_path / "xiangyin.db").write_bytes(
        b"this is no database at all, but long enough to be read as one" * 20
    )
    assert "damaged" in here(tmp_path, "worker", "list").complaint


def test_a_key_that_is_no_key(here: Here, tmp_path: Path) -> None:
    assert "bad_key" in here(tmp_path, "worker", "list", SECRET_KEY="short").complaint


def test_no_environment_of_the_dialogue_engine(here: Here, tmp_path: Path) -> None:
    settings = {"RASA_PYTHON": str(tmp_path / "nowhere"), "RASA_MODELS": str(tmp_path / "models")}
    done = here(tmp_path, "understand", **settings)
    assert (done.status, done.out) == (1, "")
    assert "no_rasa" in done.err


def test_speech_into_a_folder_that_is_not_there(here: Here, tmp_path: Path) -> None:
    done = here(tmp_path, "talk", "--voice", str(tmp_path / "nowhere" / "t.wav"))
    assert "folder_unwritable" in done.complaint
