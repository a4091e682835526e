"""The telephone: a SIP user agent inside the service. Every call is a conversation like any other."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import structlog

from connectors.errors import ConnectorError
from connectors.put_through import Bridge, Dial
from connectors.root import Service
from connectors.sip_line import SipLine, dialled
from handoff.model.errors import HandoffError
from handoff.model.hotlines import LAST_HELP
from handoff.model.nouns import SILENCE, Opening, ReplyView, Utterance
from handoff.model.words import Channel
from handoff.service.calls import Due
from handoff.service.hub import of_conversation
from handoff.service.putting_through import PutThrough
from voice.activity import VoiceActivity, load_activity
from voice.audio import HEARING_RATE, Samples, Sound, from_wav
from voice.errors import VoiceError
from voice.live import LiveTalk, Services, Speech, Took
from voice.recognise import Transcript
from voice.signs import TICK
from voice.smart_turn import SmartTurn
from voice.speak import Speaker as Voice
from voice.speech_text import first_clause
from voice.turn_taking import TurnTaker

log = structlog.get_logger("connectors.telephone")

KEYS = {"0": "找人", "1": "是", "2": "不是", "9": "再说一遍", "*": "慢一点"}
"""What a key says; other keys say nothing."""
_UNSURE = 0.5
"""How finished words sound where no model can tell."""
_RTP_TIMEOUT_S = 20
_RINGS_S = 10.0
_CONFIRMED_S = 8.0
"""So long a far end may take to confirm that it heard our answer; SIP itself would hold the line for 32 s."""
_RINGS_UP_S = 40.0
"""An old person needs time to reach the telephone."""
_LOOKS_S = 2.0
"""So often it is looked whether somebody is to be rung up."""
_AFTER_GOODBYE_S = 1.5
Begin = Callable[[], Awaitable[tuple[str, ReplyView]]]
"""Begins the conversation of a call: its token and the first words."""
Settled = Callable[[], Awaitable[bool]]
_SAYINGS = ("greeting_phone", "working", "go_on", "still_there", "what_one_can_do")
"""What must be sayable at once."""


class Telephone:
    """Registers with an exchange or waits for direct calls; serves each call until it ends."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._settings = service.settings
        self._calls: set[asyncio.Task[None]] = set()
        self._ringing_up: asyncio.Task[None] | None = None
        self._talking = 0
        self._pool = ThreadPoolExecutor(2, "turn-taking")
        self._runtime: Any = None
        self._agent: Any = None
        self._activity: Any = None
        self._smart_turn: Callable[[Samples], float] = lambda _speech: _UNSURE
        self._signs = Signs(service)

    async def start(self) -> None:
        """Take calls from now on; raises ConnectorError naming the setting that is wrong."""
        import baresip

        # Its records hold callers' numbers.
        logging.getLogger("baresip").setLevel(logging.CRITICAL + 1)
        await asyncio.to_thread(self._load_models)
        self._signs.prepare()
        config, account = self._sip()
        self._runtime = baresip.Runtime()
        try:
            await self._runtime.start(config)
            self._agent = agent = await baresip.UserAgent.create(self._runtime, account)
            agent.on_incoming(self._on_incoming)
            if self._settings.sip_registrar:
                await _register(agent)
        except Exception as error:  # the stack's own kinds, all bare
            with suppress(baresip.BaresipError):
                await self._runtime.close()
            self._runtime = None
            raise ConnectorError(
                "no_telephone",
                f"电话接不上（{type(error).__name__}）。请检查 XIANGYIN_SIP_ 开头的设置和网络。",
            ) from error
        if self._settings.calls_out:
            self._ringing_up = asyncio.create_task(self._ring_up_whom_it_is_time_for())

    def _sip(self) -> tuple[Any, Any]:
        import baresip

        settings = self._settings
        try:
            return baresip.Config(
                net_interface=settings.sip_interface or None,
                # Each may be put through to a worker; and what rings but never talks must not make us busy.
                max_concurrent_calls=4 * settings.sip_calls,
                rtp_timeout=_RTP_TIMEOUT_S,
                native_log_level="error",
                extra_config_text=f"sip_listen {settings.sip_listen}\n" if settings.sip_listen else "",
            ), baresip.Account(
                settings.sip_user, settings.sip_domain, settings.sip_password,
                registrar=settings.sip_registrar or None, reg_interval=600 if settings.sip_registrar else 0,
                audio_codecs=("pcma", "pcmu"),
            )  # fmt: skip
        except (TypeError, ValueError) as error:
            raise ConnectorError(
                "bad_sip", f"电话的设置不对：{error}。请检查 XIANGYIN_SIP_ 开头的设置。"
            ) from error

    async def stop(self) -> None:
        """Take no more calls, and end those that are going on: what was said is kept, and a call back is planned."""
        if self._runtime is None:
            return
        going = [*self._calls, *([self._ringing_up] if self._ringing_up else [])]
        for task in going:
            task.cancel()
        await asyncio.gather(*going, return_exceptions=True)
        self._signs.close()
        with suppress(Exception):  # a stack that does not stop must not keep the service from stopping
            await self._runtime.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _load_models(self) -> None:
        self._activity = load_activity()
        try:
            self._smart_turn = SmartTurn(self._settings.models / "smart-turn")
        except VoiceError:
            log.warning("telephone.no_smart_turn")  # patience alone then decides

    def _on_incoming(self, call: Any) -> None:
        task = asyncio.ensure_future(self._serve(call))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _dial(self, number: str) -> Any:
        settings = self._settings
        uri = settings.sip_dial.format(number=number, domain=settings.sip_domain)
        return await dialled(self._runtime, self._agent, uri)

    async def _ring_up_whom_it_is_time_for(self) -> None:
        """One call after the other, and only while a line is left for whoever calls in."""
        calls = self._service.domain.calls
        await self._signs.ready.wait()
        left_over = True  # by the last run of the service, or by a fault: it still counts as ringing
        while True:
            try:
                if left_over:
                    await calls.recover()
                    left_over = False
                if self._talking + 1 < self._settings.sip_calls or not self._talking:
                    due = await calls.take_due()
                    if due is not None:
                        await self._ring_up(due)
                        continue
            except Exception as error:  # whatever one call comes to, the next is made
                log.error("telephone.not_rung_up", fault=type(error).__name__)
                left_over = True
            await asyncio.sleep(_LOOKS_S)

    async def _ring_up(self, due: Due) -> None:
        calls, call = self._service.domain.calls, None
        try:
            async with asyncio.timeout(_RINGS_UP_S):
                call = await self._dial(due.number)
                await call.wait_established()
        except Exception as error:  # busy, refused, no answer: the stack's own kinds, all bare
            log.info("telephone.no_answer", fault=type(error).__name__)
            await calls.missed(due.id, "no_answer")
        else:
            begin = partial(self._service.domain.turns.begin_call, due.id)
            name, settled = f"rung-{due.id}-{due.tries}", partial(calls.is_settled, due.id)
            spoke = await self._talk(call, begin, name, settled)
            await calls.ended(due.id, spoke=spoke)
        finally:
            if call is not None:
                with suppress(Exception):
                    await call.hangup()

    async def _serve(self, call: Any) -> None:
        try:
            with suppress(TimeoutError):  # it rings until there is a voice to greet with, but not for ever
                await asyncio.wait_for(self._signs.ready.wait(), _RINGS_S)
            if self._talking >= self._settings.sip_calls:
                await call.reject()  # more at once would be heard by nobody: they hear that the line is busy
                return
            await call.answer()
            await call.wait_established(_CONFIRMED_S)
            opening = Opening(Channel.PHONE, address=number_of(call.peer))
            await self._talk(call, partial(self._service.domain.turns.begin, opening))
        except asyncio.CancelledError:
            with suppress(Exception):
                await call.hangup()
            raise
        except Exception as error:  # one bad call must not end the others, and its words are in no log
            log.error("telephone.call_failed", fault=type(error).__name__)
            with suppress(Exception):
                await call.hangup()

    async def _talk(
        self, call: Any, begin: Begin, name: str = "call", settled: Settled | None = None
    ) -> bool:
        """The whole conversation; whether anything was said in it."""
        self._talking += 1  # only now: whatever rings without a person behind it takes no line from one
        try:
            taker = TurnTaker(VoiceActivity(self._activity), self._smart_turn)
            with self._service.voices.undisturbed():
                served = Served(
                    self._service, call, taker, self._signs, self._pool, self._dial, name, settled
                )
                return await served.run(begin)
        finally:
            self._talking -= 1


async def _register(agent: Any) -> None:
    """An exchange that is down just now is no fault of ours: the stack goes on trying by itself."""
    import baresip

    try:
        await agent.register()
    except baresip.RegistrationError as error:
        log.warning("telephone.not_registered", status=getattr(error, "status", None))


class Signs:
    """Short sounds that must come at once: rendered when the service starts, a soft tick until then."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._sounds: dict[str, Sound] = {}
        self._preparing: asyncio.Task[None] | None = None
        self.ready = asyncio.Event()
        """Set when all is rendered, or can't be."""

    def prepare(self) -> None:
        """Begin to render."""
        self._preparing = asyncio.create_task(self._prepare())

    def close(self) -> None:
        """Stop rendering."""
        if self._preparing is not None:
            self._preparing.cancel()

    async def _prepare(self) -> None:
        phrases = self._service.domain.phrases
        try:
            for key in _SAYINGS:
                for sentence in Voice.sentences(phrases[key]):
                    self._sounds[sentence] = await self._service.voices.fixed(sentence)
        except VoiceError as error:
            log.warning("telephone.no_signs", code=error.code)
        self.ready.set()
        log.info("telephone.ready", signs=len(self._sounds))

    def said(self, sentence: str) -> Sound | None:
        """The sentence at the usual pace, where it is ready."""
        return self._sounds.get(sentence)

    def working(self, times: int) -> Sound:
        """`嗯` into a pause, a word at the first long wait, then ticks."""
        key = {0: "go_on", 1: "working"}.get(times)
        return self._sounds.get(self._service.domain.phrases[key], TICK) if key else TICK


class Served:
    """One call: its conversation in the service, and the live talk over its line."""

    def __init__(
        self,
        service: Service,
        call: Any,
        taker: TurnTaker,
        signs: Signs,
        pool: ThreadPoolExecutor,
        dial: Dial,
        name: str,
        settled: Settled | None,
    ) -> None:
        """`name`: what its messages are called after; another call in the same conversation bears another.

        `settled`: of a call that we made, whether all that it was made for is said.
        """
        self._name = name
        self._settled = settled
        self._service = service
        self._domain = service.domain
        self._call = call
        self._signs = signs
        self._line = SipLine(call)
        self._token = ""
        self._turns = 0
        self._leaving: asyncio.Task[None] | None = None
        self._known: set[str] = set()
        """Replies that are being said in this call: the durable engine may ask for one again before it sounds."""
        self._speed = self._volume = 1.0
        services = Services(
            self._read, self._answer, self._silence, self._speak, self._signs.working, self._took
        )
        self._talk = LiveTalk(self._line, taker, services, pool)
        self._bridge = Bridge(
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
        self._call.on_dtmf(self._on_key)
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
        return self._turns > 0

    def _on_key(self, digit: Any) -> None:
        if words := KEYS.get(digit.digit):
            self._talk.key(Transcript(words, 1.0, "key", 0.0, 0.0))

    async def _read(self, speech: Samples) -> Transcript:
        recogniser = await self._service.voices.recogniser()
        sound, likely = Sound(speech, HEARING_RATE), await self._domain.talks.likely_words(self._token)
        return await self._service.voices.listen(lambda: recogniser.transcribe(sound, expect=likely))

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
        wanted = await self._domain.putting_through.wanted(outcome.turn_id)
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

    def _is_putting_through(self) -> bool:
        return self._putting_through is not None and not self._putting_through.done()

    def _put_through(self, wanted: PutThrough) -> None:
        """Ring up a worker where a person was asked for; the caller hears meanwhile what becomes of it."""
        if not self._is_putting_through():
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
        with suppress(Exception):  # they were quicker
            await self._call.hangup()

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


def number_of(peer: str | None) -> str | None:
    """The caller's number in a SIP address; None where it holds none."""
    found = re.match(r"(?:sips?|tel):(\+?\d{3,20})\b", peer or "")
    return found[1] if found else None
