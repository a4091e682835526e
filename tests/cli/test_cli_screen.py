"""`xiangyin screen`: one JSON object for each line, in order, whatever the lines hold."""

import subprocess
from pathlib import Path

from xiangyin_command import COMMAND, ROOT, environment, objects, xiangyin


def test_every_line_has_one_answer_in_order(tmp_path: Path) -> None:
    lines = ["你好", "我不想活了", "", "今天天气好", "  ", "我胸口疼得厉害"]
    found = objects(xiangyin(tmp_path, "screen", given="\n".join(lines) + "\n"))
    assert [one["text"] for one in found] == lines
    assert [one["risk"] for one in found] == [
        "routine",
        "urgent",
        "routine",
        "routine",
        "routine",
        "emergency",
    ]
    assert all([*one] == ["text", "risk", "kinds", "why"] for one in found)
    assert found[1]["kinds"] == ["suicide"]
    assert found[1]["why"]


def test_a_last_line_without_an_end_counts(tmp_path: Path) -> None:
    assert [one["text"] for one in objects(xiangyin(tmp_path, "screen", given="一\n二"))] == ["一", "二"]


def test_no_lines_no_answers(tmp_path: Path) -> None:
    done = xiangyin(tmp_path, "screen")
    assert (done.returncode, done.stdout) == (0, b"")


def test_windows_line_ends_are_no_part_of_the_text(tmp_path: Path) -> None:
    assert objects(xiangyin(tmp_path, "screen", given=b"\xe4\xbd\xa0\r\n\r\n"))[0]["text"] == "你"


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    found = objects(xiangyin(tmp_path, "screen", given=b"\xff\xfe\x80\n\xe6\x88\n" + "我不想活了\n".encode()))
    assert len(found) == 3
    assert found[2]["risk"] == "urgent"


def test_signs_that_some_take_for_line_ends(tmp_path: Path) -> None:
    text = "一\u2028二\u2029三\x85四\x0b五\x1c六😀\x00"
    done = xiangyin(tmp_path, "screen", given=text + "\n完\n")
    assert [one["text"] for one in objects(done)] == [text, "完"]


def test_a_hundred_thousand_characters(tmp_path: Path) -> None:
    found = objects(xiangyin(tmp_path, "screen", given="今天去赶集" * 20_000 + "我不想活了\n嗯\n"))
    assert len(found) == 2
    assert found[0]["risk"] == "urgent"
    assert len(found[0]["text"]) == 100_005


def test_an_answer_comes_before_the_next_line_is_given(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "screen"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=environment(tmp_path),
    ) as process:
        assert process.stdin and process.stdout
        for text in ("头一句", "第二句"):
            process.stdin.write(f"{text}\n".encode())
            process.stdin.flush()
            assert text in process.stdout.readline().decode()
        process.stdin.close()
        assert process.wait(30) == 0


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "screen"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, env=environment(tmp_path),
    ) as process:  # fmt: skip
        assert process.stdin and process.stdout and process.stderr
        process.stdout.close()
        _, said = process.communicate("你好\n".encode() * 10, timeout=30)
        assert b"Traceback" not in said


def test_a_closed_standard_input_is_an_empty_one(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *COMMAND, "screen"],
        capture_output=True, timeout=60, check=False, cwd=ROOT, env=environment(tmp_path),
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, b"")
