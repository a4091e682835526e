"""A caller is put through to a worker: the worker first hears whose call it is and takes it with a key, then both talk."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import structlog

from connectors.call_line import CallLine
from connectors.sip_line import SipLine
from connectors.voices import Voices
from handoff.service.phrases import Phrases
from handoff.service.putting_through import PutThrough, PuttingThrough
from voice.audio import HEARING_RATE, Samples, Sound, from_wav
from voice.live import LiveTalk
from voice.speak import Speaker as Voice

log = structlog.get_logger("connectors.telephone")

_RINGS_S = 25.0
_SPEAKS_S = 40.0
"""At most so long until the voice is there."""
_AGAIN_S, _DECIDES_S = 6.0, 8.0
"""So long after its end what the worker hears first is said once more; and so long after that the call is given up."""
_MOST_BEHIND_S = 0.5
"""Two who talk must not hear each other later and later: what is further behind is dropped."""
_TAKES, _REFUSES = "1", "2"

Dial = Callable[[str], Awaitable[Any]]
"""Rings up a number; the call, once it is answered. Raises what the stack raises."""


class Bridge:
    """One caller's way to a worker."""

    def __init__(
        self,
        talk: LiveTalk,
        line: CallLine,
        dial: Dial,
        voices: Voices,
        phrases: Phrases,
        domain: PuttingThrough,
    ) -> None:
        self._talk = talk
        self._line = line
        self._dial = dial
        self._voices = voices
        self._phrases = phrases
        self._domain = domain

    async def run(self, wanted: PutThrough, say: Callable[[str], None]) -> None:
        """Ring up one after the other; `say` speaks to the caller. Ends when the worker has hung up, or nobody took it."""
        say(self._phrases["putting_through"])
        for one in wanted.to:
            call = await self._ring(one.phone)
            if call is None:
                continue
            line = SipLine(call)
            line.open()
            try:
                if not await self._takes(line, wanted):
                    continue
                await self._domain.taken(wanted.case_id, one.worker_id)
                log.info("telephone.put_through", case=wanted.case_id)
                await self._join(line)
                say(self._phrases["worker_hung_up"])
                return
            finally:
                await line.close()
                await line.hang_up()
        log.info("telephone.not_put_through", case=wanted.case_id, rung=len(wanted.to))
        await self._domain.nobody(wanted.case_id)
        say(self._phrases["nobody_free"])

    async def _ring(self, phone: str) -> Any:
        call = None
        try:
            async with asyncio.timeout(_RINGS_S):
                call = await self._dial(phone)
                await call.wait_established()
                return call
        except (
            Exception
        ) as error:  # busy, refused, no answer, no such number: the stack's own kinds, all bare
            log.info("telephone.no_answer", fault=type(error).__name__)
            if call is not None:
                with suppress(Exception):
                    await call.hangup()
            return None

    async def _takes(self, line: SipLine, wanted: PutThrough) -> bool:
        """Whether the worker presses the key that takes the call."""
        pressed: asyncio.Queue[str] = asyncio.Queue()
        line.on_key(pressed.put_nowait)
        words = self._phrases.say(
            "put_through",
            village=wanted.village or self._phrases["no_village"],
            risk=wanted.risk_zh,
            number=wanted.number,
        )
        saying = None
        try:
            async with asyncio.timeout(_SPEAKS_S) as limit:
                saying = asyncio.create_task(self._say(line, words, limit))
                while True:
                    key = await self._key(pressed, line)
                    if key in (_TAKES, _REFUSES, None):
                        line.hush()
                        why = "" if key == _TAKES else "refused" if key else "hung_up"
                        break
        except TimeoutError:
            why = "no_key"
        finally:
            if saying is not None:
                saying.cancel()
                (fault,) = await asyncio.gather(saying, return_exceptions=True)
                if isinstance(fault, Exception):
                    log.error("telephone.worker_heard_nothing", fault=type(fault).__name__)
        if why:
            log.info("telephone.not_taken", why=why)
        return not why

    async def _key(self, pressed: "asyncio.Queue[str]", line: SipLine) -> str | None:
        """The next key; None where the line has ended."""
        asking = asyncio.create_task(pressed.get())
        try:
            while not asking.done():
                if await line.hear() is None:
                    return None
            return asking.result()
        finally:
            asking.cancel()

    async def _say(self, line: SipLine, words: str, limit: asyncio.Timeout) -> None:
        """Twice; only then the worker is taken to have no time."""
        for wait_s in (_AGAIN_S, _DECIDES_S):
            for sentence in Voice.sentences(words):
                line.say(from_wav(await self._voices.speak(sentence, speed=1.0, volume=1.0)))
            until = asyncio.get_running_loop().time() + line.unsaid_s() + wait_s
            limit.reschedule(until + _SPEAKS_S)
            await asyncio.sleep(until - asyncio.get_running_loop().time())
        limit.reschedule(asyncio.get_running_loop().time())

    async def _join(self, line: SipLine) -> None:
        """Each hears the other, until the worker's line ends; the caller's ends with the whole call."""

        self._talk.pass_on(lambda samples: _carry(samples, line))
        try:
            while (samples := await line.hear()) is not None:
                _carry(samples, self._line)
        finally:
            self._talk.pass_on(None)


def _carry(samples: Samples, to: CallLine) -> None:
    if to.unsaid_s() > _MOST_BEHIND_S:
        to.hush()
    to.say(Sound(samples, HEARING_RATE))
