"""One call, over whatever line it comes: its conversation in the service, and the live talk."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import structlog

from connectors.call_line import CallLine
from connectors.kept_sounds import KeptSounds
from connectors.put_through import Bridge, Dial
from connectors.root import Service
from connectors.signs import Signs
from handoff.model.errors import HandoffError
from handoff.model.hotlines import LAST_HELP
from handoff.model.nouns import SILENCE, ReplyView, Utterance
from handoff.service.hub import of_conversation
from handoff.service.putting_through import PutThrough
from voice.audio import HEARING_RATE, Samples, Sound, from_wav
from voice.errors import VoiceError
from voice.live import LiveTalk, Services, Speech, Took
from voice.recognise import Transcript
from voice.speak import Speaker as Voice
from voice.speech_text import first_clause
from voice.turn_taking import TurnTaker

log = structlog.get_logger("connectors.telephone")

KEYS = {"0": "找人", "1": "是", "2": "不是", "9": "再说一遍", "*": "慢一点"}
"""What a key says; other keys say nothing."""
_AFTER_GOODBYE_S = 1.5
Begin = Callable[[], Awaitable[tuple[str, ReplyView]]]
"""Begins the conversation of a call: its token and the first words."""
Settled = Callable[[], Awaitable[bool]]


class Served:
    """One call: its conversation in the service, and the live talk over its line."""

    def __init__(
        self,
        service: Service,
        line: CallLine,
        taker: TurnTaker,
        signs: Signs,
        pool: ThreadPoolExecutor,
        dial: Dial | None,
        name: str,
        settled: Settled | None,
    ) -> None:
        """`dial`: rings a worker up; None where there is no line for that: whoever is asked for calls back.

        `name`: what its messages are called after; another call in the same conversation bears another.

        `settled`: of a call that we made, whether all that it was made for is said.
        """
        self._name = name
        self._settled = settled
        self._service = service
        self._domain = service.domain
        self._signs = signs
        self._line = line
        self._token = ""
        self._turns = 0
        self._leaving: asyncio.Task[None] | None = None
        self._known: set[str] = set()
        """Replies that are being said in this call: the durable engine may ask for one again before it sounds."""
        self._speed = self._volume = 1.0
        self._sounds = KeptSounds(self._domain.recordings) if service.settings.record_calls else None
        self._keeping: set[asyncio.Task[None]] = set()
        services = Services(
            self._read, self._answer, self._silence, self._speak, self._signs.working, self._took
        )
        self._talk = LiveTalk(self._line, taker, services, pool)
        self._bridge = dial and Bridge(
            self._talk,
            self._line,
            dial,
            service.voices,
            service.domain.phrases,
            service.domain.putting_through,
        )
        self._putting_through: asyncio.Task[None] | None = None

    async def run(self, begin: Begin) -> bool:
        """From the greeting to the end of the call; whether anything was said."""
        self._token, greeting = await begin()
        conversation = await self._domain.talks.conversation_id(self._token)
        self._line.on_key(self._on_key)
        self._line.open()
        later = asyncio.create_task(self._say_what_comes_later(conversation))
        broke_off = True
        try:
            broke_off = await self._talk.run(self._speech(greeting)) or self._line.is_lost()
        finally:
            later.cancel()
            if self._leaving is not None:
                self._leaving.cancel()
            await self._end_putting_through()
            await self._line.close()
            log.info("telephone.ended", conversation=conversation, turns=self._turns, broke_off=broke_off)
            if broke_off and self._turns:
                await self._domain.breaking_off.note(self._token)
            await asyncio.gather(*self._keeping, return_exceptions=True)
        return self._turns > 0

    def _on_key(self, digit: str) -> None:
        if words := KEYS.get(digit):
            self._talk.key(Transcript(words, 1.0, "key", 0.0, 0.0))

    async def _read(self, speech: Samples) -> Transcript:
        recogniser = await self._service.voices.recogniser()
        sound, likely = Sound(speech, HEARING_RATE), await self._domain.talks.likely_words(self._token)
        dropped = threading.Event()
        try:
            words = await self._service.voices.listen(
                lambda: recogniser.transcribe(sound, expect=likely, wanted=lambda: not dropped.is_set())
            )
        except asyncio.CancelledError:
            dropped.set()  # they went on: the next reading must not stand behind this one
            raise
        if self._sounds is not None:
            self._sounds.read(words, speech)
        return words

    async def _answer(self, words: Transcript) -> Speech | None:
        self._turns += 1
        confidence = words.confidence if words.text else 1.0
        utterance = Utterance(
            self._token, f"{self._name}-{self._turns}", words.text, confidence, words.engine, words.others
        )
        try:
            # Shielded: a caller who hangs up in the middle must not stop what they have asked for.
            outcome = await asyncio.shield(asyncio.ensure_future(self._domain.turns.take(utterance)))
        except HandoffError as error:
            log.error("telephone.turn_failed", code=error.code)
            return Speech(Voice.sentences(error.message), keep=True)
        except Exception as error:  # whatever it is, the person must not wait in vain
            log.error("telephone.turn_failed", fault=type(error).__name__)
            return Speech(Voice.sentences(self._domain.phrases.say("not_stored", call=LAST_HELP)), keep=True)
        self._keep_sound(words, outcome.turn_id)
        wanted = await self._domain.putting_through.wanted(outcome.turn_id) if self._bridge else None
        speech = await self._soon(self._speech(outcome.reply)) if outcome.reply else None
        if wanted is None or self._is_putting_through():
            return speech
        if speech is None:
            self._put_through(wanted)
            return None
        shown = speech.begun

        def begun() -> None:
            shown()
            self._put_through(wanted)

        return replace(speech, begun=begun)

    def _keep_sound(self, words: Transcript, turn_id: int) -> None:
        """Beside the call: nobody waits for it."""
        if self._sounds is not None:
            keeping = asyncio.create_task(self._sounds.said(self._token, words, turn_id))
            self._keeping.add(keeping)
            keeping.add_done_callback(self._keeping.discard)

    def _is_putting_through(self) -> bool:
        return self._putting_through is not None and not self._putting_through.done()

    def _put_through(self, wanted: PutThrough) -> None:
        """Ring up a worker where a person was asked for; the caller hears meanwhile what becomes of it."""
        if self._bridge is not None and not self._is_putting_through():
            self._putting_through = asyncio.create_task(self._bridge.run(wanted, self._say_later))

    def _say_later(self, words: str) -> None:
        self._talk.say(Speech(Voice.sentences(words), keep=True))

    async def _end_putting_through(self) -> None:
        if self._putting_through is not None:
            self._putting_through.cancel()
            (fault,) = await asyncio.gather(self._putting_through, return_exceptions=True)
            if isinstance(fault, Exception):
                log.error("telephone.put_through_failed", fault=type(fault).__name__)

    async def _soon(self, speech: Speech) -> Speech:
        """Only the first clause first, where the first sentence would have to be rendered whole."""
        first, *rest = speech.sentences or [""]
        with suppress(VoiceError):
            if not await self._service.voices.is_ready(first, speed=self._speed):
                return replace(speech, sentences=[*first_clause(first), *rest])
        return speech

    def _speech(self, reply: ReplyView) -> Speech:
        self._speed, self._volume = reply.speed, reply.volume
        self._known.add(reply.id)
        must_be_heard = bool(reply.call or reply.number) or reply.author == "worker"
        return Speech(
            Voice.sentences(reply.text),
            begun=lambda: self._domain.dispatch.shown(reply.id),
            keep=must_be_heard,
        )

    async def _silence(self, times: int) -> Speech | None:
        """Nobody who called is hung up on: asked gently, told what one can do, promised a call; then the line is kept open."""
        if self._settled is not None and times >= 2 and (not self._turns or await self._settled()):
            self._leaving = self._leaving or asyncio.create_task(self._leave())
            return None
        if times <= 2:
            key = "still_there" if times == 1 else "what_one_can_do"
            return Speech(Voice.sentences(self._domain.phrases[key]))
        return await self._answer(Transcript("", 1.0, SILENCE, 0.0, 0.0)) if times == 3 else None

    async def _leave(self) -> None:
        """We rang up, and nobody says anything, or all is said: a goodbye, and the line is free again."""
        said = asyncio.Event()
        words = Speech(Voice.sentences(self._domain.phrases["call_ends"]), begun=said.set)
        self._talk.say(words)
        await said.wait()
        await asyncio.sleep(self._line.unsaid_s() + _AFTER_GOODBYE_S)
        await self._line.hang_up()

    async def _speak(self, sentence: str) -> Sound:
        if self._speed == self._volume == 1.0 and (ready := self._signs.said(sentence)):
            return ready
        return from_wav(await self._service.voices.speak(sentence, speed=self._speed, volume=self._volume))

    def _took(self, took: Took) -> None:
        log.info(
            "telephone.answered",
            patience=round(took.patience_s, 3),
            recognition=round(took.recognition_s, 3),
            dialogue=round(took.dialogue_s, 3),
            synthesis=round(took.synthesis_s, 3),
            signs=took.signs,
        )

    async def _say_what_comes_later(self, conversation: int) -> None:
        """A worker's words, spoken into the call as they come."""
        with self._domain.hub.listen(of_conversation(conversation)) as events:
            while (event := await events.get())["event"] != "closing":
                if event["event"] != "reply" or event["reply"] in self._known:
                    continue
                with suppress(HandoffError):
                    reply = await self._domain.talks.reply_of(self._token, event["reply"])
                    self._talk.say(self._speech(reply))
