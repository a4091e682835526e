"""The strict channel as a process: nothing kept, nothing swallowed, nothing left behind."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from .conftest import BOT, EXAMPLES, Rasa, effects, train

pytestmark = pytest.mark.slow

Start = Callable[..., Rasa]


def _few_examples(folder: Path) -> Path:
    folder.mkdir()
    for file in EXAMPLES.glob("*.yml"):
        data = yaml.safe_load(file.read_text("utf-8"))
        for block in data["nlu"]:
            block["examples"] = "\n".join(block["examples"].splitlines()[:12]) + "\n"
        (folder / file.name).write_text(yaml.safe_dump(data, allow_unicode=True), "utf-8")
    return folder


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A copy of the bot in which thanks crash, goodbyes never end and greetings fall silent; and its model."""
    folder = tmp_path_factory.mktemp("faulty")
    bot = folder / "bot"
    shutil.copytree(BOT, bot, ignore=shutil.ignore_patterns(".venv", "__pycache__"))
    (bot / "domain" / "faults.yml").write_text('version: "3.1"\nactions: [action_that_is_nowhere]\n')
    rules = yaml.safe_load((bot / "data" / "rules.yml").read_text("utf-8"))
    faults = {
        "talk_thanks": ["utter_thanks", "action_that_is_nowhere"],
        "talk_bye": ["utter_bye"] * 12,
        "talk_greet": ["action_listen"],
    }
    for rule in rules["rules"]:
        for intent, actions in faults.items():
            if {"intent": intent} in rule["steps"]:
                rule["steps"] = [{"intent": intent}, *({"action": action} for action in actions)]
    (bot / "data" / "rules.yml").write_text(yaml.safe_dump(rules, allow_unicode=True), "utf-8")
    done = train(bot, _few_examples(folder / "nlu"), folder / "model.tar.gz")
    assert done.returncode == 0, done.stderr
    return bot, folder / "model.tar.gz"


def test_health_tells_the_model(rasa: Rasa) -> None:
    status, body = rasa.ask("GET", "/webhooks/strict/")
    assert status == 200
    assert body == {"status": "ok", "model": json.loads(rasa.first_line)["model"]}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"\xff"',
        b"[" * 5000,
        b'{"sender": "a"}',
        b'{"text": 5, "sender": "a"}',
        b'{"text": "  ", "sender": "a"}',
        b'{"text": "\\u0000\\ud800", "sender": "a"}',
        b'{"text": "x"}',
        b'{"text": "x", "sender": ""}',
        b'{"text": "x", "sender": "a", "metadata": []  , "metadata": 3}',
    ],
)
def test_a_malformed_request_is_refused(rasa: Rasa, body: bytes) -> None:
    assert rasa.ask("POST", "/webhooks/strict/turn", body) == (400, {"error": "bad_request"})


@pytest.mark.parametrize(
    "text",
    [
        "好" * 100_000,
        "😀👵🏻🌾",
        "\x00\x07\x1b[31m你好",
        "Hello, can you help me?",
        "Здравствуйте",
        "\ud800你好",
    ],
)
def test_any_text_is_answered(rasa: Rasa, text: str) -> None:
    assert rasa.turn(text)["messages"]


@pytest.mark.parametrize(
    "state",
    [
        "x",
        3,
        [],
        {},
        {"v": 1, "slots": {}, "loop": None, "missed": 0},
        {"v": 2, "slots": {}, "loop": "no_form", "missed": 0},
        {"v": 2, "slots": {}, "loop": "goods_form", "missed": 0},
        {"v": 2, "slots": {"need": "x"}, "loop": None, "missed": 0},
        {"v": 2, "slots": {"offered": "x" * 9000}, "loop": None, "missed": 0},
        {"v": 2, "slots": {}, "loop": None, "missed": True},
        {"v": 2, "slots": {}, "loop": ["goods_form"], "missed": 0},
    ],
)
def test_a_malformed_state_counts_as_none_and_it_is_said(rasa: Rasa, state: object) -> None:
    answer = rasa.turn("你好", state)
    assert answer["state_dropped"] is True
    assert answer["messages"]


def test_a_good_state_is_not_dropped(rasa: Rasa) -> None:
    first, second = rasa.talk("我要买十斤大米", "两袋")
    assert "state_dropped" not in first
    assert "state_dropped" not in second


def test_a_conversation_goes_on_after_kill_9(start: Start, model: Path) -> None:
    first = start(BOT, model)
    state = first.turn("我要买十斤大米")["state"]
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    second = start(BOT, model)
    *_, done = [second.turn("两袋", state), second.turn("送到村口", second.turn("两袋", state)["state"])]
    (opened,) = effects(done)
    assert opened["slots"] == {"what": "我要买十斤大米", "amount": "两袋", "where": "送到村口"}


def test_what_raises_inside_an_action_is_an_error(start: Start, faulty: tuple[Path, Path]) -> None:
    rasa = start(*faulty)
    for text, error in [
        ("谢谢你了", "dialogue_crashed"),
        ("再见", "dialogue_crashed"),
        ("你好啊", "no_answer"),
    ]:
        assert rasa.post({"text": text, "sender": "test", "state": None}) == (500, {"error": error})
    assert rasa.turn("再说一遍")["messages"]
    crashes = [json.loads(line) for line in rasa.log.read_text("utf-8").splitlines()]
    assert all(set(line) <= {"action", "logger", "level", "error", "where"} for line in crashes)
    assert [line["error"] for line in crashes if line["action"] == "rasa.crashed"] == [
        "RasaException",
        "DialogueCrashed",
    ]


def test_no_word_is_written_anywhere(start: Start, faulty: tuple[Path, Path], model: Path) -> None:
    words = ["谢谢你了王桂香", "我膝盖疼住在柳树屯", "我叫王桂香电话13800001111", "再见柳树屯"]
    for one in (start(BOT, model), start(*faulty)):
        state = None
        for text in words:
            _, body = one.post({"text": text, "sender": "柳树屯", "state": state})
            state = body.get("state")
        one.ask("POST", "/webhooks/strict/turn", '{"text": "王桂香'.encode())
        one.ask("GET", "/webhooks/strict/nowhere?text=wangguixiang")
        assert one.process.stdin
        one.process.stdin.close()
        one.process.wait(20)
        assert one.process.stdout
        written = one.first_line + one.process.stdout.read().decode() + one.log.read_text("utf-8")
        for trace in ("王桂香", "柳树屯", "膝盖", "1380000", "wangguixiang", "\\u738b"):
            assert trace not in written


def test_it_ends_when_its_parent_does(start: Start, model: Path) -> None:
    one = start(BOT, model)
    assert one.process.stdin
    one.process.stdin.close()
    assert one.process.wait(20) == 0


def test_it_listens_on_loopback_only(rasa: Rasa) -> None:
    listening = Path(f"/proc/{rasa.process.pid}/net/tcp").read_text().splitlines()[1:]
    ours = [line.split()[1] for line in listening if line.split()[1].endswith(f":{rasa.port:04X}")]
    assert set(ours) <= {f"0100007F:{rasa.port:04X}"}


def test_a_taken_port_is_told(start: Start, model: Path, rasa: Rasa) -> None:
    late = start(BOT, model, rasa.port)
    assert late.process.wait(20) == 1
    assert json.loads(late.log.read_text().splitlines()[-1])["error"] == "port_taken"


def test_a_model_cut_short_is_told(start: Start, model: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.tar.gz"
    short.write_bytes(model.read_bytes()[:20_000])
    late = start(BOT, short)
    assert late.process.wait(30) == 1
    assert json.loads(late.log.read_text().splitlines()[-1])["error"] == "model_damaged"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("nlu:\n  - intent: talk_greet\n    examples: [unclosed", "broken.yml"),
        ('version: "3.1"\nnlu:\n  - intent: no_such_need\n    examples: |\n      - 你好\n', "no_such_need"),
        ('version: "3.1"\nnlu: 3\n', "broken.yml"),
        ("", "broken.yml"),
        ("\x00\x01", "broken.yml"),
    ],
)
def test_malformed_examples_are_refused_with_the_name_of_the_file(
    tmp_path: Path, content: str, told: str
) -> None:
    folder = _few_examples(tmp_path / "nlu")
    (folder / "broken.yml").write_text(content)
    done = train(BOT, folder, tmp_path / "out.tar.gz")
    assert done.returncode == 1
    assert "broken.yml" in done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.tar.gz").exists()


def test_a_folder_without_examples_is_refused_by_name(tmp_path: Path) -> None:
    done = train(BOT, tmp_path, tmp_path / "out.tar.gz")
    assert done.returncode == 1
    assert os.fspath(tmp_path) in done.stderr
