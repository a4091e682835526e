"""Somebody who calls: a SIP user agent in a process of its own, driven by `phone`; for benches and tests.

    python -m connectors.bench.caller PORT [NUMBER]                     calls the service
    python -m connectors.bench.caller PORT NUMBER --answers | --refuses is called: takes the call at this port, or not

It reads one JSON command a line, and prints one JSON object for each that is done:

    ["say", file.wav]              an 8 kHz file, in real time; done when its last sample is on the wire
    ["begin", file.wav]            the same, but does not wait: for speaking while listening
    ["key", "0"]  ["wait", s]
    ["hear", most_s, gap_s, out.wav]   until something was heard and then nothing for gap_s, at most most_s
    ["until sound", most_s]        until a sound has begun since our last word
    ["until said"]                 until what was begun is out
    ["record", out.wav]            both sides of the call so far, two channels: what was said here, what was heard
    ["hang up"]  ["vanish"]        properly, or as a process that is killed: no BYE

Every answer has `at`, seconds of the call; `loud` and `quiet`, when the last sound at our ear began and ended;
`onsets`, when sounds began since the last answer; `gap_ms`, the 99th percentile of the time between two arrivals.
"""

import asyncio
import json
import logging
import os
import sys
import time
import wave
from typing import Any

import baresip
import numpy as np

from connectors.sip_line import dialled

LOUD = 0.003
RATE = 8000
GAP_S = 0.25
"""So long a silence parts two sounds."""


class Caller:
    """One call, its sound both ways."""

    def __init__(self, call: baresip.Call) -> None:
        self.call = call
        self.began = time.monotonic()
        self.heard = bytearray()
        self.said: list[tuple[float, bytes]] = []
        """When, and what, was given to the line."""
        self.loud = self.quiet = -1.0
        self.onsets: list[float] = []
        self.arrivals: list[float] = []
        self.said_at = 0.0
        self.reader = asyncio.ensure_future(self._read())
        self.speaking: asyncio.Future[None] | None = None

    @property
    def at(self) -> float:
        """Seconds since the call was established."""
        return time.monotonic() - self.began

    @property
    def over(self) -> bool:
        """Whether the call has ended."""
        return self.call.state is baresip.CallState.CLOSED

    async def _read(self) -> None:
        while not self.over:
            try:
                pcm = self.call.audio.read(1 << 14)
            except (baresip.AudioRestarted, baresip.AudioNotActive):
                pcm = b""
            if pcm:
                self.arrivals.append(self.at)
            for start in range(0, len(pcm), 320):  # 20 ms each
                self._listen(pcm[start : start + 320], (len(pcm) - start) / 2 / RATE)
            self.heard += pcm
            await asyncio.sleep(0.01)

    def _listen(self, pcm: bytes, ago: float) -> None:
        samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
        if len(samples) and float(np.sqrt(np.mean(samples**2))) > LOUD:
            now = self.at - ago
            if self.quiet < 0 or now - self.quiet > GAP_S:
                self.loud = now
                self.onsets.append(now)
            self.quiet = now

    async def say(self, path: str) -> None:
        """Speak a file at 8 kHz, in real time; ends when the last of it has gone out."""
        with wave.open(path) as file:
            if file.getframerate() != RATE:
                raise ValueError("8 kHz is what a telephone carries")
            pcm = file.readframes(file.getnframes())
        self.said.append((self.at, pcm))
        while pcm and not self.over:
            try:
                pcm = pcm[self.call.audio.write(pcm[:8000]) :]
            except (baresip.AudioRestarted, baresip.AudioNotActive):
                pass
            await asyncio.sleep(0.02)
        while not self.over and self._unsaid():  # noqa: ASYNC110  # the line tells nobody: it is looked at
            await asyncio.sleep(0.005)
        self.said_at = self.at

    def _unsaid(self) -> int:
        try:
            return int(self.call.audio.info().tx_buffered)
        except baresip.AudioNotActive:
            return 0

    def report(self) -> dict[str, Any]:
        """How it stands; what happened since the last report."""
        gaps = np.diff(self.arrivals)
        onsets, self.onsets = self.onsets, []
        return {
            "at": self.at, "loud": self.loud, "quiet": self.quiet, "onsets": onsets, "over": self.over,
            "gap_ms": float(np.quantile(gaps, 0.99)) * 1000 if len(gaps) else 0.0,
        }  # fmt: skip

    async def until_sound(self, most_s: float) -> None:
        """Until a sound has begun since our last word, at most so long."""
        begun = self.at
        while self.loud < self.said_at and self.at - begun < most_s and not self.over:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def hear(self, most_s: float, gap_s: float, out: str) -> None:
        """Until somebody has spoken and then been silent for the gap; at most so long."""
        begun, first = self.at, len(self.heard)
        while self.at - begun < most_s and not self.over:
            if self.quiet > begun and self.at - self.quiet > gap_s:
                break
            await asyncio.sleep(0.01)
        with wave.open(out, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(bytes(self.heard[first:]))

    def record(self, out: str) -> None:
        """Both sides of the call so far."""
        heard = np.frombuffer(bytes(self.heard), "<i2")
        said = np.zeros(len(heard), "<i2")
        for at, pcm in self.said:
            words = np.frombuffer(pcm, "<i2")[: max(len(said) - round(at * RATE), 0)]
            said[round(at * RATE) : round(at * RATE) + len(words)] = words
        with wave.open(out, "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(np.column_stack([said, heard]).tobytes())

    async def do(self, what: str, *more: Any) -> None:
        """One command."""
        match what:
            case "say":
                await self.say(*more)
            case "begin":
                self.speaking = asyncio.ensure_future(self.say(*more))
            case "wait":
                await asyncio.sleep(*more)
            case "key":
                await self.call.send_dtmf(*more)
            case "hear":
                await self.hear(*more)
            case "until said":
                if self.speaking is not None:
                    await self.speaking
            case "until sound":
                await self.until_sound(*more)
            case "record":
                self.record(*more)
            case "vanish":
                os._exit(0)
            case "hang up":
                await self.call.hangup()


async def commands() -> asyncio.StreamReader:
    """Standard input, line by line."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    return reader


def tell(**fields: Any) -> None:
    """One answer."""
    print(json.dumps(fields), flush=True)


async def rung(agent: baresip.UserAgent, refuses: bool) -> baresip.Call:
    """The next call that comes in, answered or refused."""
    coming: asyncio.Future[baresip.Call] = asyncio.get_running_loop().create_future()

    def take(call: baresip.Call) -> None:
        if not coming.done():
            coming.set_result(call)

    agent.on_incoming(take)
    tell(did="ready")
    call = await coming
    await (call.reject() if refuses else call.answer())
    return call


async def main() -> None:
    """Call or be called, and do as is said."""
    port, number, how = [*sys.argv[1:], *["13812345678", ""][len(sys.argv) - 2 :]][:3]
    logging.disable(logging.CRITICAL)
    runtime = baresip.Runtime()
    dials = how in ("", "--unbuffered")
    # What a telephone keeps back for late packets is its own: unbuffered, what is heard is what was sent.
    extra = "audio_jitter_buffer_type off\n" if how == "--unbuffered" else ""
    extra += "" if dials else f"sip_listen 127.0.0.1:{port}\n"
    await runtime.start(
        baresip.Config(net_interface="127.0.0.1", native_log_level="error", extra_config_text=extra)
    )
    agent = await baresip.UserAgent.create(
        runtime, baresip.Account(number, "127.0.0.1", "", reg_interval=0, audio_codecs=("pcma",))
    )
    call = (
        await dialled(runtime, agent, f"sip:xiangyin@127.0.0.1:{port}")
        if dials
        else await rung(agent, how == "--refuses")
    )
    try:
        await call.wait_established()
    except baresip.CallFailed as error:
        tell(did="fail", status=getattr(error, "status", None))
        await runtime.close()
        return
    caller = Caller(call)
    tell(did="call", at=0.0)
    lines = await commands()
    while line := await lines.readline():
        what, *more = json.loads(line)
        begun = caller.at
        await caller.do(what, *more)
        tell(did=what, begun=begun, **caller.report())
        if what == "hang up":
            break
    caller.reader.cancel()
    if not caller.over:
        await call.hangup()
    await runtime.close()


if __name__ == "__main__":
    asyncio.run(main())
