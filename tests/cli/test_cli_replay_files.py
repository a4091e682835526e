"""Files for `xiangyin replay`: what is wrong is named by file, entry and field, before anything is started."""

from pathlib import Path

import pytest

from connectors.cli.replay import read_scenarios
from connectors.errors import ConnectorError

GOOD = "- {id: a, channel: phone, speaker: self, turns: [你好]}\n"


def refused(tmp_path: Path, text: str | bytes) -> str:
    """The sentence that tells what is wrong."""
    path = tmp_path / "talks.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConnectorError) as caught:
        read_scenarios(path)
    assert caught.value.code == "bad_scenarios"
    assert "talks.yaml" in caught.value.message
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- id: a\n  channel: [phone", "第 2 行"),
        ("a: b", "列表"),
        ("你好", "列表"),
        ("- 你好", "第 1 段"),
        (GOOD + "- {channel: phone, speaker: self, turns: [你好]}", "第 2 段：id"),
        ("- {id: '', channel: phone, speaker: self, turns: []}", "id"),
        ("- {id: [x], channel: phone, speaker: self, turns: []}", "id"),
        (GOOD + GOOD, "第 2 段：id a"),
        ("- {id: a, channel: radio, speaker: self, turns: [你好]}", "channel"),
        ("- {id: a, channel: [phone], speaker: self, turns: [你好]}", "channel"),
        ("- {id: a, channel: phone, speaker: dog, turns: [你好]}", "speaker"),
        ("- {id: a, channel: phone, turns: [你好]}", "speaker"),
        ("- {id: a, channel: phone, speaker: self}", "turns"),
        ("- {id: a, channel: phone, speaker: self, turns: 你好}", "turns"),
        ("- {id: a, channel: phone, speaker: self, turns: [你好, 120]}", "turns 第 2 项"),
        ("- {id: a, channel: phone, speaker: self, turns: [null]}", "turns 第 1 项"),
        ("- {id: a, channel: phone, speaker: self, turns: [2024-13-45]}", "YAML"),
        ("- {id: !!python/name:os.system x, channel: phone}", "YAML"),
        (b"- id: \xff\xfe\n", "UTF-8"),
        ("- id: a\x00b", "YAML"),
        ("[" * 5000, "YAML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str | bytes, told: str) -> None:
    assert told in refused(tmp_path, text)


def test_a_turn_longer_than_the_service_takes(tmp_path: Path) -> None:
    text = f"- {{id: a, channel: phone, speaker: self, turns: [{'好' * 200_001}]}}"
    assert "turns 第 1 项" in refused(tmp_path, text)


@pytest.mark.parametrize("name", ["nowhere.yaml", "."])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConnectorError, match="读不了"):
        read_scenarios(tmp_path / name)


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "[]"])
def test_an_empty_file_holds_no_talks(tmp_path: Path, text: str) -> None:
    path = tmp_path / "talks.yaml"
    path.write_text(text)
    assert read_scenarios(path) == []


def test_what_a_file_holds_more_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "talks.yaml"
    path.write_text(
        "\ufeff- {id: 7, channel: wechat, speaker: family, turns: ['', 好], expect: {handoff: true}}", "utf-8"
    )
    (only,) = read_scenarios(path)
    assert (only.id, only.channel, only.speaker, only.turns) == (7, "wechat", "family", ("", "好"))
