"""A live conversation over a line that is only numbers: who is interrupted by what, what is said again, what is never lost."""

import asyncio
from collections import deque

import numpy as np
import pytest

from voice.audio import HEARING_RATE, Samples, Sound
from voice.errors import VoiceError
from voice.live import LiveTalk, Services, Speech
from voice.recognise import Transcript
from voice.turn_taking import TurnTaker

STEP_S = 0.032
VOICE = np.full(round(STEP_S * HEARING_RATE), 1.0, np.float32)
NOBODY = np.zeros(round(STEP_S * HEARING_RATE), np.float32)


class Line:
    """Sound comes as the test puts it; what is said is heard at the same pace, step by step."""

    def __init__(self) -> None:
        self.coming: deque[Samples | None] = deque()
        self.said: list[float] = []
        """Of each sound that was put on the line its first sample: which sentence it was."""
        self.unsaid = 0.0
        self.hushed = 0

    async def hear(self) -> Samples | None:
        await asyncio.sleep(0.004)  # eight times as fast as it sounds
        self.unsaid = max(0.0, self.unsaid - STEP_S)
        return self.coming.popleft() if self.coming else None

    def say(self, sound: Sound) -> None:
        if len(sound.samples) and sound.samples[0]:
            self.said.append(float(sound.samples[0]))
        self.unsaid += sound.seconds

    def hush(self) -> None:
        self.hushed += self.unsaid > 0
        self.unsaid = 0.0

    def unsaid_s(self) -> float:
        return self.unsaid

    def comes(self, *parts: tuple[Samples, float]) -> None:
        """(what, seconds) …, and then the line is gone."""
        for what, seconds in parts:
            self.coming += [what] * round(seconds / STEP_S)
        self.coming.append(None)


class Far:
    """What the rest of the program would do."""

    def __init__(self, *heard: str | VoiceError) -> None:
        self.heard = deque(heard)
        self.asked: list[str] = []
        self.silences: list[int] = []
        self.answers: dict[str, Speech | None] = {}
        self.sign = Sound(NOBODY, HEARING_RATE)

    async def read(self, _speech: Samples) -> Transcript:
        words = self.heard[0] if len(self.heard) == 1 else self.heard.popleft()
        if isinstance(words, VoiceError):
            raise words
        return Transcript(words, 0.9, "double", 0.0, 0.0)

    async def answer(self, words: Transcript) -> Speech | None:
        self.asked.append(words.text)
        return self.answers.get(words.text, Speech(["0.5"]))

    async def silence(self, times: int) -> Speech | None:
        self.silences.append(times)
        return None

    async def speak(self, sentence: str) -> Sound:
        return Sound(np.full(HEARING_RATE * 2, float(sentence), np.float32), HEARING_RATE)

    def services(self) -> Services:
        return Services(self.read, self.answer, self.silence, self.speak, lambda _times: self.sign)


async def talk(line: Line, far: Far, greeting: Speech, *, impatient: bool = True) -> bool:
    taker = TurnTaker(lambda window: float(window.mean()), lambda _speech: float(impatient))
    return await LiveTalk(line, taker, far.services()).run(greeting)


async def test_a_greeting_an_utterance_an_answer() -> None:
    line, far = Line(), Far("一二三四五六七八九十")
    line.comes((NOBODY, 4), (VOICE, 1), (NOBODY, 6))
    assert await talk(line, far, Speech(["0.1"])) is False
    assert far.asked == ["一二三四五六七八九十"] and line.said == [pytest.approx(0.1), pytest.approx(0.5)]


async def test_words_stop_the_voice_and_the_rest_is_not_said() -> None:
    line, far = Line(), Far("一二三四五六七八九十")
    line.comes((NOBODY, 1), (VOICE, 1), (NOBODY, 8))
    await talk(line, far, Speech(["0.1", "0.2"]))
    assert line.hushed and 0.2 not in [round(one, 3) for one in line.said]
    assert len(far.asked) == 1


async def test_a_noise_that_stopped_the_voice_does_not_lose_the_place() -> None:
    line, far = Line(), Far("")
    line.comes((NOBODY, 1), (VOICE, 1), (NOBODY, 14))
    await talk(line, far, Speech(["0.1", "0.2"]))
    assert far.asked == []
    assert [round(one, 3) for one in line.said] == [0.1, 0.1, 0.2]


async def test_what_must_be_heard_waits_until_it_can_be_said() -> None:
    line, far = Line(), Far("一二三四五六七八九十", "说了别的话一二三四五")
    far.answers["一二三四五六七八九十"] = Speech(["0.7"], keep=True)
    release = asyncio.Event()
    real = far.answer

    async def slow(words: Transcript) -> Speech | None:
        if len(far.asked) == 0:
            far.asked.append("")
            await release.wait()
            far.asked.pop()
        elif words.text.startswith("说了"):
            pass
        return await real(words)

    far.answer = slow  # type: ignore[method-assign]
    line.comes((NOBODY, 4), (VOICE, 1), (NOBODY, 1.2), (VOICE, 1), (NOBODY, 14))
    running = asyncio.create_task(talk(line, far, Speech(["0.1"])))
    while len(line.coming) > 300:  # noqa: ASYNC110  # by the line's own clock
        await asyncio.sleep(0)
    release.set()
    await running
    assert [round(one, 3) for one in line.said] == [0.1, 0.7, 0.5]


async def test_who_is_not_understood_at_all_does_not_wait_in_vain() -> None:
    line, far = Line(), Far("")
    line.comes((NOBODY, 4), (VOICE, 2), (NOBODY, 6))
    await talk(line, far, Speech(["0.1"]))
    assert far.asked == [""]


async def test_an_ear_that_fails_is_no_silence() -> None:
    line, far = Line(), Far(VoiceError("engine_failed", "坏了"))
    line.comes((NOBODY, 4), (VOICE, 2), (NOBODY, 6))
    await talk(line, far, Speech(["0.1"]))
    assert far.asked == [""]


async def test_a_line_that_goes_in_mid_sentence_broke_off_and_its_words_are_taken() -> None:
    line, far = Line(), Far("一二三四五六七八九十")
    line.comes((NOBODY, 4), (VOICE, 1))
    assert await talk(line, far, Speech(["0.1"])) is True
    assert far.asked == ["一二三四五六七八九十"]


async def test_silence_is_counted_until_words_come_and_noise_does_not_count() -> None:
    line, far = Line(), Far("")
    line.comes((NOBODY, 13), (VOICE, 0.5), (NOBODY, 13))
    await talk(line, far, Speech(["0.1"]))
    assert far.silences[:2] == [1, 2]


LONG_SIGN = Sound(np.full(HEARING_RATE * 3, 0.3, np.float32), HEARING_RATE)


@pytest.fixture
def sign_of_life_at_the_lines_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voice.live._WORKING_AFTER_S", 1.6 / 8)


@pytest.mark.usefixtures("sign_of_life_at_the_lines_pace")
async def test_a_murmur_into_a_pause_gives_way_to_the_answer() -> None:
    line, far = Line(), Far("一二三四五六七八九十")
    far.sign = LONG_SIGN
    line.comes((NOBODY, 4), (VOICE, 1), (NOBODY, 12))
    await talk(line, far, Speech(["0.1"]), impatient=False)
    assert [round(one, 3) for one in line.said] == [0.1, 0.3, 0.5] and line.hushed == 1


@pytest.mark.usefixtures("sign_of_life_at_the_lines_pace")
async def test_words_that_ask_for_a_moment_are_said_to_their_end() -> None:
    line, far = Line(), Far("一二三四五六七八九十")
    far.sign, usual = LONG_SIGN, far.answer

    async def slow(words: Transcript) -> Speech | None:
        while len(line.said) < 2:  # noqa: ASYNC110  # by the line's own clock
            await asyncio.sleep(0)
        return await usual(words)

    far.answer = slow  # type: ignore[method-assign]
    line.comes((NOBODY, 4), (VOICE, 1), (NOBODY, 12))
    await talk(line, far, Speech(["0.1"]))
    assert [round(one, 3) for one in line.said] == [0.1, 0.3, 0.5] and line.hushed == 0


async def test_while_somebody_else_listens_nothing_is_answered_and_what_is_to_be_said_waits() -> None:
    line, far = Line(), Far("一二三四五六七八九十")
    line.comes((NOBODY, 4), (VOICE, 1), (NOBODY, 6), (NOBODY, 6))
    talking = LiveTalk(
        line, TurnTaker(lambda window: float(window.mean()), lambda _speech: 1.0), far.services()
    )
    passed: list[Samples] = []
    running = asyncio.create_task(talking.run(Speech(["0.1"])))
    while len(line.coming) > 14 / STEP_S:  # noqa: ASYNC110  # by the line's own clock: the greeting is out
        await asyncio.sleep(0)
    talking.pass_on(passed.append)
    talking.say(Speech(["0.6"]))
    while len(line.coming) > 6 / STEP_S:  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert any(samples.any() for samples in passed) and far.asked == []
    assert 0.6 not in [round(one, 3) for one in line.said]
    talking.pass_on(None)
    await running
    assert far.asked == [] and round(line.said[-1], 3) == 0.6
