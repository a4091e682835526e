"""A call's sound as a `Line`: what the wire carries on one side, 16 kHz for us on the other."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from connectors.call_line import LOST_S, NONE, NOTHING_S, Inflow
from voice.audio import HEARING_RATE, Samples, Sound, to_pcm16

_STEP_S = 0.02
_AHEAD_S = 0.2
"""So much is given to the wire ahead of time: enough for a busy loop, and soon silent."""
_BYTES = 2


async def dialled(runtime: Any, agent: Any, uri: str) -> Any:
    """A call on its way to `uri`; raises what the stack raises.

    A far end that answers at once is reported before the stack has handed us the call, which then waits for ever for what
    it has missed: it is told again.
    """
    reported: list[Any] = []
    runtime.subscribe(reported.append)
    try:
        call = await agent.dial(uri)
    finally:
        runtime.unsubscribe(reported.append)
    for event in reported:
        call._on_stack_event(event)  # takes those of its own only
    return call


class SipLine:
    """The sound of one call, both ways."""

    def __init__(self, call: Any, *, keeps_keys: bool = False) -> None:
        """`keeps_keys`: those pressed before anybody listens are told of then. Not where they would answer a question that has not
        been asked yet."""
        self._call = call
        self._audio = call.audio
        self._rate = 8000
        self._unsaid = bytearray()
        self._to_us = Inflow()
        self._feeding: asyncio.Task[None] | None = None
        self._last = self._arrived = 0.0
        self._over = False
        self._early: list[str] = []
        self._heard: Callable[[str], None] = self._early.append if keeps_keys else lambda _key: None
        call.on_dtmf(lambda key: self._heard(str(key.digit)))

    def open(self) -> None:
        """Begin to send."""
        self._last = self._arrived = asyncio.get_running_loop().time()
        self._feeding = asyncio.create_task(self._feed())

    async def close(self) -> None:
        """Send no more."""
        self._over = True
        if self._feeding is not None:
            self._feeding.cancel()
            await asyncio.gather(self._feeding, return_exceptions=True)

    def on_key(self, heard: Callable[[str], None]) -> None:
        """Tell of each key that is pressed; those from before as soon as the loop is free."""
        self._heard = heard
        for key in self._early:
            asyncio.get_running_loop().call_soon(heard, key)
        self._early.clear()

    async def hang_up(self) -> None:
        """End the call; nothing where it is over."""
        with suppress(Exception):  # the stack's own kinds, all bare: they were quicker
            await self._call.hangup()

    def is_lost(self) -> bool:
        """Whether nothing has come for so long that nobody can have put down the receiver."""
        return asyncio.get_running_loop().time() - self._arrived > LOST_S

    async def hear(self) -> Samples | None:
        """What has come in the last moments; None when the call is over."""
        loop = asyncio.get_running_loop()
        while True:
            heard = self._read()
            if self._over:
                return None
            now = loop.time()
            if len(heard):
                self._arrived = self._last = now
                return heard
            if now - self._last > NOTHING_S:
                silence = round((now - self._last) * HEARING_RATE)
                self._last = now
                return np.zeros(silence, np.float32)
            await asyncio.sleep(_STEP_S)

    def _read(self) -> Samples:
        """What there is; between two streams there is nothing, and the call goes on."""
        from baresip import AudioNotActive, AudioRestarted

        try:
            pcm = self._audio.read(1 << 14)
            return self._to_us.take(pcm, self._audio.info().rx_sample_rate) if pcm else NONE
        except (AudioRestarted, AudioNotActive):
            self._to_us.anew()
            self._over = self._over or self._has_ended()
            return NONE

    def _has_ended(self) -> bool:
        from baresip import CallState

        return bool(self._call.state is CallState.CLOSED)

    def say(self, sound: Sound) -> None:
        """Put it behind what is still to be said."""
        if not self._over:
            self._unsaid += to_pcm16(sound.at(self._rate))

    def hush(self) -> None:
        """Drop what is not on the wire yet."""
        self._unsaid.clear()
        with suppress(Exception):  # the call may be over, or its media new: then nothing is left to drop
            self._audio.flush_tx()

    def unsaid_s(self) -> float:
        """Seconds still to be heard at the other end; nothing once the call is over."""
        if self._over:
            return 0.0
        try:
            buffered = self._audio.info().tx_buffered
        except Exception:
            return 0.0
        return float(len(self._unsaid) + buffered) / (self._rate * _BYTES)

    async def _feed(self) -> None:
        from baresip import AudioNotActive, AudioRestarted

        while True:
            try:
                self._write()
            except (AudioRestarted, AudioNotActive):
                if self._has_ended():
                    return
            await asyncio.sleep(_STEP_S)

    def _write(self) -> None:
        info = self._audio.info()
        self._rate = info.tx_sample_rate or self._rate
        room = int(self._rate * _AHEAD_S) * _BYTES - info.tx_buffered
        if self._unsaid and room > 0:
            taken = self._audio.write(bytes(self._unsaid[:room]))
            del self._unsaid[:taken]
