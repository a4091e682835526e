"""The commands that need Rasa or the speech models, as real processes."""

import asyncio
import json
import os
import re
import signal
import subprocess
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest
import yaml
from xiangyin_command import COMMAND, ROOT, environment, objects, xiangyin

pytestmark = pytest.mark.slow

PATIENCE_S = 300
SCENARIOS = sorted((ROOT / "tests" / "scenarios").glob("*.yaml"))
SENTENCE = "我胸口疼，喘不上气。"

# A plain sentence for every need: whether the pieces fit together, not how well each need is told from others.
PLAIN = [
    ("我胸口疼得厉害，喘不上气", "emergency", "emergency"),
    ("老头子摔倒了起不来，叫他也不应", "emergency", None),
    ("我真的不想活了", "crisis", "urgent"),
    ("儿子经常打我骂我", "abuse", "urgent"),
    ("有人打电话叫我转账到安全账户", "fraud", None),
    ("我这两天老是咳嗽，要不要去看医生", "health", "routine"),
    ("我想去医院做个体检", "health", "routine"),
    ("降压药一天吃几次", "medicine", "routine"),
    ("今天的药忘了吃，要补上吗", "medicine", "routine"),
    ("我一个人在家好孤单，想找人说说话", "emotion", "attention"),
    ("儿子儿媳天天吵架，我夹在中间难受", "family", None),
    ("养老金这个月怎么还没到账", "benefits", None),
    ("低保怎么申请", "benefits", "routine"),
    ("住院的钱医保能报销多少", "insurance", "routine"),
    ("去外地看病医保怎么备案", "insurance", "routine"),
    ("有没有人能上门给我洗澡做饭", "care", "routine"),
    ("帮我买一袋米和一桶油", "goods", "routine"),
    ("我想买床棉被", "goods", "routine"),
    ("玉米叶子上长虫了，打什么药", "farm", "routine"),
    ("家里的猪不吃食了怎么办", "farm", "routine"),
    ("家里停水两天了", "home", None),
    ("邻居占了我家的地怎么办", "legal", None),
    ("身份证丢了怎么补办", "papers", "routine"),
    ("微信怎么打视频", "digital", "routine"),
    ("去县城的班车几点有", "transport", "routine"),
    ("我上次报的那件事办得怎么样了", "status", "routine"),
    ("村里的干部办事态度太差了，我要反映", "complaint", None),
    ("我要找社工", "human", "routine"),
    ("你好", "talk", "routine"),
    ("谢谢你了", "talk", "routine"),
    ("", "unclear", "routine"),
]


def test_understanding_over_a_pipe(tmp_path: Path) -> None:
    given = "\n".join(text for text, _, _ in PLAIN) + "\n"
    done = xiangyin(tmp_path, "understand", given=given, patience_s=PATIENCE_S)
    found = objects(done)
    assert done.returncode == 0
    assert [one["text"] for one in found] == [text for text, _, _ in PLAIN]
    assert all([*one] == ["text", "need", "risk", "kinds", "confidence", "reply"] for one in found)
    assert all(one["reply"] for one in found)
    wrong = [
        (text, one["need"], one["risk"])
        for (text, need, risk), one in zip(PLAIN, found, strict=True)
        if one["need"] != need or risk not in (None, one["risk"])
    ]
    assert not wrong


def expectations() -> list[Any]:
    """Every conversation of the files with its id as the test's name."""
    found = [one for path in SCENARIOS for one in yaml.safe_load(path.read_text("utf-8"))]
    assert len(found) >= 80
    return [pytest.param(one, id=one["id"]) for one in found]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What `replay --json` printed, by id."""
    played: dict[str, dict[str, Any]] = {}
    for path in SCENARIOS:
        done = xiangyin(
            tmp_path_factory.mktemp("replay"), "replay", str(path), "--json", patience_s=PATIENCE_S
        )
        assert done.returncode == 0, done.stderr.decode()
        found = objects(done)
        assert [one["id"] for one in found] == [one["id"] for one in yaml.safe_load(path.read_text("utf-8"))]
        played |= {one["id"]: one for one in found}
    return played


@pytest.mark.parametrize("scenario", expectations())
def test_a_conversation_ends_as_it_should(
    played: dict[str, dict[str, Any]], scenario: dict[str, Any]
) -> None:
    result, expected = played[scenario["id"]], scenario["expect"]
    assert [*result] == ["id", "replies", "case", "handoff"]
    assert len(result["replies"]) == len(scenario["turns"])
    assert all(result["replies"])
    assert result["handoff"] is (result["case"] is not None)
    if "handoff" in expected:
        assert result["handoff"] is expected["handoff"]
    said = "".join(result["replies"])
    assert [words for words in expected.get("said", []) if words not in said] == []
    assert [words for words in expected.get("unsaid", []) if words in said] == []
    if "case" in expected and expected["case"] is None:
        assert result["case"] is None
    if expected.get("case"):
        assert [*result["case"]] == ["number", "need", "risk", "kinds", "stage"]
        assert result["case"] | expected["case"] == result["case"]
        assert re.fullmatch(r"[1-9]\d{3,}", result["case"]["number"])


def test_talking_through_a_pipe(tmp_path: Path) -> None:
    lines = ["你好", "", "我胸口疼得厉害"]
    done = xiangyin(tmp_path, "talk", "--json", given="\n".join(lines) + "\n", patience_s=PATIENCE_S)
    found = objects(done)
    assert done.returncode == 0
    assert [one["text"] for one in found] == lines
    assert all([*one] == ["text", "reply", "number", "call", "held_by"] for one in found)
    assert found[0]["number"] is None
    assert found[2]["call"] == "120"
    assert found[2]["number"] in found[2]["reply"]


def test_talking_into_a_file(tmp_path: Path) -> None:
    out = tmp_path / "talk.wav"
    done = xiangyin(tmp_path, "talk", "--voice", str(out), given="你好\n", patience_s=PATIENCE_S)
    assert done.returncode == 0
    assert "您好，我是乡音" in done.stdout.decode()
    with wave.open(str(out)) as sound:
        assert sound.getnframes() / sound.getframerate() > 4


# -- recordings --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sentence as `say` speaks it."""
    folder = tmp_path_factory.mktemp("spoken")
    done = xiangyin(folder, "say", SENTENCE, "-o", str(folder / "said.wav"), patience_s=PATIENCE_S)
    assert done.returncode == 0
    assert objects(done)[0]["seconds"] > 1
    return folder / "said.wav"


def encoded(source: Path, target: Path, codec: str, rate: int, layout: str = "mono") -> Path:
    """The recording in another format, as telephones and browsers make them."""
    with av.open(str(source)) as given, av.open(str(target), "w") as made:
        stream = made.add_stream(codec, rate=rate, layout=layout)
        resampler = av.AudioResampler(
            format=stream.codec_context.format,
            layout=layout,
            rate=rate,
            frame_size=stream.codec_context.frame_size,
        )
        for frame in [*given.decode(audio=0), None]:
            for piece in resampler.resample(frame):
                made.mux(stream.encode(piece))
        made.mux(stream.encode(None))
    return target


def test_common_formats_are_heard_alike(tmp_path: Path, spoken: Path) -> None:
    files = [
        spoken,
        encoded(spoken, tmp_path / "a.mp3", "mp3", 44100, "stereo"),
        encoded(spoken, tmp_path / "a.amr", "libopencore_amrnb", 8000),
        encoded(spoken, tmp_path / "a.webm", "libopus", 48000),
        encoded(spoken, tmp_path / "a.m4a", "aac", 32000),
    ]
    done = xiangyin(tmp_path, "transcribe", *map(str, files), patience_s=PATIENCE_S)
    found = objects(done)
    assert done.returncode == 0
    assert [one["file"] for one in found] == [*map(str, files)]
    for one in found:
        assert [*one] == ["file", "text", "confidence", "engine", "seconds", "took"]
        assert "胸口" in one["text"]
        assert 0 < one["confidence"] <= 1
        assert one["seconds"] > 1


def test_what_cannot_be_heard_is_told_beside_what_can(tmp_path: Path, spoken: Path) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "notes.wav").write_text("这不是录音")
    (tmp_path / "cut.wav").write_bytes(spoken.read_bytes()[: spoken.stat().st_size // 2])
    names = ["empty.wav", "notes.wav", "nowhere.wav", "cut.wav"]
    done = xiangyin(tmp_path, "transcribe", *(str(tmp_path / name) for name in names), patience_s=PATIENCE_S)
    found = objects(done)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert ["error" in one for one in found] == [True, True, True, False]
    assert all(one["say"] for one in found[:3])
    assert "胸口" in found[3]["text"]


# -- the story, and ending -----------------------------------------------------------------------------------


def test_the_whole_story(tmp_path: Path) -> None:
    done = xiangyin(tmp_path, "demo", "-o", str(tmp_path / "demo.wav"), patience_s=PATIENCE_S)
    said = done.stdout.decode()
    assert done.returncode == 0, done.stderr.decode()
    for step in (
        "听到",
        "筛险",
        "理解",
        "个案号",
        "工作台",
        "队列",
        "接下",
        "社工答",
        "老人收到",
        "念出来",
        "再听一遍",
    ):
        assert f"秒] {step}：" in said
    with wave.open(str(tmp_path / "demo.wav")) as sound:
        assert sound.getnframes() / sound.getframerate() > 3


def processes_of(data: Path) -> list[int]:
    """Every process of this machine that was started with this data folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"XIANGYIN_DATA={data}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue  # it has ended, or is none of ours
    return found


@pytest.fixture
def running(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`xiangyin run` as the leader of a process group, as a terminal starts it, with its Rasa already there."""
    process = subprocess.Popen(
        [*COMMAND, "run", "--port", "0"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT,
        env=environment(tmp_path, WARM_VOICES="false"), start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        for pid in processes_of(tmp_path):
            os.kill(pid, signal.SIGKILL)
        process.communicate()


def until(process: subprocess.Popen[bytes], words: str) -> None:
    """Read what the process prints up to these words."""
    assert process.stdout
    for line in process.stdout:
        if words in line.decode():
            return
    raise AssertionError(f"it ended without: {words}")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
async def test_no_process_is_left(
    tmp_path: Path, running: subprocess.Popen[bytes], how: signal.Signals
) -> None:
    await asyncio.wait_for(asyncio.to_thread(until, running, "rasa.ready"), PATIENCE_S)
    assert len(processes_of(tmp_path)) > 1
    assert (tmp_path / "address").read_text().startswith("http://127.0.0.1:")
    # A terminal sends Ctrl-C to the whole group.
    os.killpg(running.pid, how) if how is signal.SIGINT else running.send_signal(how)
    assert await asyncio.to_thread(running.wait, 30) == 0
    assert processes_of(tmp_path) == []


async def test_a_command_that_is_ended_ends_what_it_started(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "understand", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, cwd=ROOT, env=environment(tmp_path),
    )  # fmt: skip
    assert process.stdin and process.stdout and process.stderr
    process.stdin.write("你好\n".encode())
    answer = await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)
    assert json.loads(answer)["need"] == "talk"
    # Its input is still open: it waits for the next line.
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 30) == 130
    assert b"Traceback" not in await process.stderr.read()
    assert processes_of(tmp_path) == []
