"""A conversation by voice while it happens: hearing, waiting, answering sentence by sentence, being interrupted.

Knows nothing of telephones, of the dialogue or of what is said: a `Line` carries the sound, the caller's functions read,
answer and speak.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import structlog

from voice.audio import HEARING_RATE, Samples, Sound
from voice.errors import VoiceError
from voice.heard_text import finished
from voice.recognise import Transcript
from voice.turn_taking import Began, Ended, Event, Paused, Quiet, TurnTaker, WentOn

log = structlog.get_logger("voice.live")

_BETWEEN_S = 0.25
"""Silence between two sentences."""
_AHEAD_S = 0.4
"""So much of a sentence may still be unsaid when the next is handed over."""
_TICK_S = 0.02
_WORKING_AFTER_S = 1.6
"""A silence that somebody waits in is broken after so long, so that none lasts for two seconds."""
_SURELY_A_VOICE_S = 1.2
"""Who spoke so long and was not understood at all is answered, and does not wait in vain."""


class Line(Protocol):
    """Where the person is: sound comes from it and goes to it."""

    async def hear(self) -> Samples | None:
        """The next piece of sound (16 kHz mono); None when the line is gone."""
        ...

    def say(self, sound: Sound) -> None:
        """Put sound after what is still to be said."""
        ...

    def hush(self) -> None:
        """Be silent now: what is not yet said is dropped."""
        ...

    def unsaid_s(self) -> float:
        """Seconds of sound still to be said."""
        ...


@dataclass(frozen=True)
class Took:
    """Where the time went between somebody's last word and the first sound of the answer, in seconds."""

    patience_s: float
    """waiting whether the person goes on"""
    recognition_s: float
    """of reading, beyond that"""
    dialogue_s: float
    synthesis_s: float
    signs: int = 0
    """sounds that said that somebody is at work, meanwhile"""


@dataclass(frozen=True)
class Speech:
    """What is to be said, sentence by sentence."""

    sentences: Sequence[str]
    begun: Callable[[], None] = lambda: None
    """Called once its first sound is on the line."""
    keep: bool = False
    """Said even where the person has said something else before it could begin: nobody may miss it."""
    took: Callable[[float], None] = lambda _now: None
    """Called with the loop's time at the first sound."""


@dataclass(frozen=True)
class Services:
    """What a live conversation needs of the rest of the program.

    read: one utterance to words, may raise VoiceError; answer: what is said to it, None for nothing (a transcript
    without text: somebody spoke and no word of it could be read); silence: what is said when nobody has spoken for a
    while, by how often that happened, None to say nothing; speak: one sentence as sound, may raise VoiceError; working:
    a sound that says that somebody is there, by how often it was needed, 0 while the person only pauses; took: told of
    every answer.
    """

    read: Callable[[Samples], Awaitable[Transcript]]
    answer: Callable[[Transcript], Awaitable[Speech | None]]
    silence: Callable[[int], Awaitable[Speech | None]]
    speak: Callable[[str], Awaitable[Sound]]
    working: Callable[[int], Sound]
    took: Callable[[Took], None] = lambda _took: None


class LiveTalk:
    """One conversation on one line, from the first word to the end of the line."""

    def __init__(
        self, line: Line, taker: TurnTaker, services: Services, pool: Executor | None = None
    ) -> None:
        """`pool`: where the models of turn-taking run; they take some milliseconds, and one loop serves all calls."""
        self._line = line
        self._taker = taker
        self._services = services
        self._pool = pool
        self._reading: asyncio.Task[Transcript] | None = None
        self._answering: asyncio.Task[None] | None = None
        self._speaking: asyncio.Task[None] | None = None
        self._to_say: deque[Speech] = deque()
        self._now: Speech | None = None
        """Being said; `_at`: its sentence that sounds."""
        self._at = 0
        self._cut: Speech | None = None
        """The rest of what was interrupted, until it is known whether by words."""
        self._elsewhere: Callable[[Samples], None] | None = None
        self._quiets = 0
        self._workings = 0
        self._signs = 0
        self._murmurs = False
        """The last sound on the line was a sign of life into a pause: no word, so that an answer may cut it short."""
        self._sounded = 0.0

    async def run(self, greeting: Speech) -> bool:
        """Greet, then listen and answer until the line is gone; the last words are taken even then.

        True where it broke off: somebody was in the middle of a sentence, or waited for an answer.
        """
        loop = asyncio.get_running_loop()
        self._sounded = loop.time()
        self.say(greeting)
        try:
            while (samples := await self._line.hear()) is not None:
                if self._elsewhere is not None:
                    self._elsewhere(samples)
                    self._sounded = loop.time()
                    continue
                self._taker.assistant_speaks = self._is_speaking()
                for event in await loop.run_in_executor(self._pool, self._taker.feed, samples):
                    self._on(event)
                self._show_that_it_works(loop.time())
            broke_off = self._taker.in_speech or self._owes_an_answer()
            for event in self._taker.end():
                self._on(event)
        finally:
            await self._finish()
        return broke_off

    def say(self, speech: Speech) -> None:
        """Say this as soon as nobody speaks: an answer, or words that a worker has sent."""
        self._to_say.append(speech)
        self._go_on()

    def pass_on(self, to: Callable[[Samples], None] | None) -> None:
        """Somebody else listens from now on, and nothing is answered; None: it is our turn again."""
        self._hush()
        self._drop_reading()
        self._elsewhere, self._cut = to, None
        if to is None:
            self._taker.wait_anew()
            self._go_on()

    def key(self, words: Transcript) -> None:
        """Take a key for the words it stands for; like words it interrupts."""
        self._hush()
        ready: asyncio.Future[Transcript] = asyncio.get_running_loop().create_future()
        ready.set_result(words)
        self._begin_answer(ready, None)

    # -- what happens on the line ----------------------------------------------------------------------------

    def _on(self, event: Event) -> None:
        match event:
            case Began():
                self._signs = 0
                self._hush()
            case WentOn():
                self._signs = 0
                self._drop_reading()
            case Paused(speech=speech, voiced_s=voiced_s):
                self._drop_reading()
                self._taker.await_words()
                self._reading = asyncio.ensure_future(self._read_at_pause(speech, voiced_s))
            case Ended(speech=speech, same_as_paused=same):
                reading = (
                    self._reading if same and self._reading else asyncio.ensure_future(self._read(speech))
                )
                self._reading = None
                self._begin_answer(reading, event)
            case Quiet():
                self._meet_quiet()

    def _is_speaking(self) -> bool:
        return self._line.unsaid_s() > 0 or (self._now is not None and self._at > 0)

    def _is_busy(self) -> bool:
        """Whether an answer is being made or said."""
        return any(task is not None and not task.done() for task in (self._answering, self._speaking))

    def _owes_an_answer(self) -> bool:
        """Whether an answer is still being made, or must be heard and has not begun."""
        making = self._answering is not None and not self._answering.done()
        return making or any(speech.keep for speech in self._to_say)

    async def _read(self, speech: Samples) -> Transcript:
        return await self._services.read(speech)

    async def _read_at_pause(self, speech: Samples, voiced_s: float) -> Transcript:
        """Words also tell whether they are all; where they can't be read, the sound alone has to do."""
        finished_words = 1.0
        try:
            words = await self._read(speech)
            finished_words = finished(words.text, voiced_s)
            return words
        finally:
            self._taker.weigh_words(finished_words)

    def _drop_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _show_that_it_works(self, now: float) -> None:
        """No long silence while somebody waits: for our answer, or, in the middle of a sentence, for a sign of life."""
        pausing = self._taker.in_speech
        if (pausing and not self._taker.pause_s) or self._line.unsaid_s() > 0:
            self._sounded = now
        elif not (pausing or self._is_busy()):
            self._sounded, self._workings = now, 0
        elif now - self._sounded >= _WORKING_AFTER_S:
            self._workings += not pausing
            self._signs += 1
            self._murmurs = pausing
            self._line.say(self._services.working(0 if pausing else self._workings))
            self._sounded = now

    # -- answering -------------------------------------------------------------------------------------------

    def _begin_answer(self, reading: "asyncio.Future[Transcript]", ended: Ended | None) -> None:
        before = self._answering
        self._answering = asyncio.create_task(self._answer(reading, ended, before))

    async def _answer(
        self, reading: "asyncio.Future[Transcript]", ended: Ended | None, before: "asyncio.Task[None] | None"
    ) -> None:
        """One turn after the other, whatever the person says meanwhile: none is lost and none overtakes another."""
        began = asyncio.get_running_loop().time()
        if before is not None:
            await asyncio.wait([before])
        words = await self._words(reading)
        if not words.text and not self._was_a_voice(ended):
            self._go_on_where_cut()
            return
        self._cut, self._quiets = None, 0
        self._to_say = deque(speech for speech in self._to_say if speech.keep)
        read = asyncio.get_running_loop().time()
        speech = await self._services.answer(words)
        if speech is None:
            self._taker.wait_anew()
            self._go_on()
            return
        self.say(replace(speech, took=self._timed(ended, began, read)))

    async def _words(self, reading: "asyncio.Future[Transcript]") -> Transcript:
        try:
            return await reading
        except VoiceError as error:
            log.warning("live.not_read", code=error.code)
            return Transcript("", 0.0, "none", 0.0, 0.0)

    def _was_a_voice(self, ended: Ended | None) -> bool:
        """Whether so much was spoken that it can't have been a cough, and nothing of ours was interrupted by it."""
        return ended is not None and self._cut is None and ended.voiced_s >= _SURELY_A_VOICE_S

    def _timed(self, ended: Ended | None, began: float, read: float) -> Callable[[float], None]:
        answered = asyncio.get_running_loop().time()

        def took(now: float) -> None:
            if ended is not None:
                self._services.took(
                    Took(ended.pause_s, read - began, answered - read, now - answered, self._signs)
                )

        return took

    def _meet_quiet(self) -> None:
        if not self._is_busy():
            self._quiets += 1
            self._answering = asyncio.create_task(self._break_silence(self._quiets))

    async def _break_silence(self, times: int) -> None:
        speech = await self._services.silence(times)
        if speech is not None:
            self.say(speech)

    # -- speaking --------------------------------------------------------------------------------------------

    def _hush(self) -> None:
        """Silence at once; what was decided stands, only the saying of it ends."""
        if self._speaking is not None:
            self._speaking.cancel()
            self._speaking = None
        if self._now is not None:
            rest = self._now if not self._at else replace(self._now, begun=lambda: None)
            self._cut = replace(rest, sentences=self._now.sentences[max(self._at - 1, 0) :])
            self._now = None
        self._line.hush()

    def _go_on_where_cut(self) -> None:
        """It was no word that interrupted: the place is not lost."""
        if self._cut is not None:
            self._to_say.appendleft(self._cut)
            self._cut = None
        self._taker.wait_anew()
        self._go_on()

    def _go_on(self) -> None:
        idle = self._speaking is None or self._speaking.done()
        if self._to_say and idle and not self._taker.in_speech and self._elsewhere is None:
            self._speaking = asyncio.create_task(self._speak_all())

    async def _speak_all(self) -> None:
        while self._to_say:
            self._now, self._at = self._to_say.popleft(), 0
            await self._speak(self._now)
            self._now = None
        self._taker.wait_anew()

    async def _speak(self, speech: Speech) -> None:
        ahead = [asyncio.create_task(self._sound(sentence)) for sentence in speech.sentences[:1]]
        try:
            for at in range(len(speech.sentences)):
                sound = await ahead[at]
                if at + 1 < len(speech.sentences):
                    ahead.append(asyncio.create_task(self._sound(speech.sentences[at + 1])))
                if self._murmurs:
                    self._line.hush()
                await self._until_said(_AHEAD_S if at else 0.0)
                self._hand_over(speech, at, sound)
            await self._until_said(0.0)
        finally:
            for task in ahead:
                task.cancel()

    def _hand_over(self, speech: Speech, at: int, sound: Sound) -> None:
        if at:
            self._line.say(_silence(_BETWEEN_S, sound.rate))
        self._line.say(sound)
        self._murmurs = False
        self._at = at + 1
        if not at:
            speech.begun()
            speech.took(asyncio.get_running_loop().time())

    async def _until_said(self, but_for_s: float) -> None:
        """A line is a clock of its own and tells nobody: it is looked at."""
        while (left := self._line.unsaid_s() - but_for_s) > 0:  # noqa: ASYNC110
            await asyncio.sleep(min(max(left, _TICK_S), 0.1))

    async def _sound(self, sentence: str) -> Sound:
        try:
            return await self._services.speak(sentence)
        except VoiceError as error:
            log.warning("live.not_spoken", code=error.code)
            return _silence(0.0, HEARING_RATE)

    async def _finish(self) -> None:
        """What was said is taken to its end; nothing is spoken any more."""
        self._hush()
        self._drop_reading()
        if self._answering is not None:
            await asyncio.wait([self._answering])
        self._hush()


def _silence(seconds: float, rate: int) -> Sound:
    return Sound(np.zeros(round(seconds * rate), np.float32), rate)
