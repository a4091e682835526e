"""Calls that an Asterisk hands us by its AudioSocket: bare TCP, sound and keys in small packets.

The protocol as Asterisk documents it: one byte for the kind, two for the length (big-endian), then so many bytes.
"""

import asyncio
import re
import struct
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import numpy as np
import structlog

from connectors.call_line import DEAD_S, LOST_S, NOTHING_S, Inflow
from connectors.errors import ConnectorError
from connectors.root import Service
from connectors.switchboard import Switchboard
from handoff.model.nouns import Opening
from handoff.model.words import Channel
from voice.audio import HEARING_RATE, Samples, Sound, from_pcm16, to_pcm16

log = structlog.get_logger("connectors.telephone")

_HANG_UP, _ID, _KEY, _ERROR = 0x00, 0x01, 0x03, 0xFF
_RATES = {0x10: 8000, 0x11: 12000, 0x12: 16000, 0x13: 24000, 0x14: 32000, 0x15: 44100, 0x16: 48000}
"""Hz of signed linear sound, by kind; Asterisk before 21 knows the first only."""
_BYTES = 2
_STEP_S, _AHEAD_S = 0.02, 0.1
_SAYS_WHO_S = 5.0
"""So long a connection may take to say which call it is."""
_MOST_UNREAD = 1 << 16
"""bytes that the far end has not taken: it is not listening any more"""
_MOST_UNHEARD = 500
"""pieces of sound: whoever sends faster than we hear waits"""
_ID_BYTES = 16


class AudioSocket:
    """Listens for an Asterisk; each connection is one call."""

    def __init__(self, service: Service, switchboard: Switchboard) -> None:
        self._service = service
        self._switchboard = switchboard
        self._server: asyncio.Server | None = None
        self._calls: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Take calls from now on; raises ConnectorError naming the setting that is wrong."""
        host, _, port = self._service.settings.audio_socket.rpartition(":")
        try:
            self._server = await asyncio.start_server(self._on_connection, host.strip("[]"), int(port))
        except (OSError, ValueError, OverflowError) as error:
            raise ConnectorError(
                "no_audio_socket", "AudioSocket 开不了。请检查 XIANGYIN_AUDIO_SOCKET：写成 地址:端口，端口没被占着。"
            ) from error  # fmt: skip

    async def stop(self) -> None:
        """Take no more calls, and end those that are going on."""
        if self._server is None:
            return
        self._server.close()
        going = [*self._calls]
        for task in going:
            task.cancel()
        await asyncio.gather(*going, return_exceptions=True)

    async def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._calls.add(task)
        try:
            await self._serve(AudioSocketLine(reader, writer))
        except Exception as error:  # one bad call must not end the others, and its words are in no log
            log.error("telephone.call_failed", fault=type(error).__name__)
        finally:
            if task is not None:
                self._calls.discard(task)
            writer.close()

    async def _serve(self, line: "AudioSocketLine") -> None:
        try:
            async with asyncio.timeout(_SAYS_WHO_S):
                call = await line.which_call()
        except (TimeoutError, ConnectorError):
            log.warning("telephone.no_call_id")
            return
        await self._switchboard.can_greet()
        try:
            if not self._switchboard.is_full():
                begin = partial(
                    self._service.domain.turns.begin, Opening(Channel.PHONE, address=number_in(call))
                )
                await self._switchboard.talk(line, begin)
        finally:
            await line.hang_up()  # the dialplan goes on: where we were full, with its busy tone


class AudioSocketLine:
    """The sound of one call, both ways, and its keys."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._kind = 0x10
        self._inflow = Inflow()
        self._heard: asyncio.Queue[Samples] = asyncio.Queue(_MOST_UNHEARD)
        self._unsaid = bytearray()
        self._sent_until = self._arrived = 0.0
        self._said_goodbye = self._over = False
        self._on_key: Callable[[str], None] = lambda _key: None
        self._tasks: list[asyncio.Task[None]] = []

    async def which_call(self) -> str:
        """The call's id, 32 hexadecimal digits, which must come first. Raises ConnectorError where something else does."""
        try:
            kind, content = await self._packet()
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise ConnectorError("no_call_id", "AudioSocket 连上就断了。") from error
        if kind != _ID or len(content) != _ID_BYTES:
            raise ConnectorError("no_call_id", "AudioSocket 连上的不是 Asterisk。")
        return content.hex()

    def open(self) -> None:
        """Begin to hear and to send."""
        self._arrived = asyncio.get_running_loop().time()
        self._tasks = [asyncio.create_task(self._take()), asyncio.create_task(self._feed())]

    async def close(self) -> None:
        """Send no more."""
        self._over = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def hang_up(self) -> None:
        """End the call; nothing where it is over."""
        with suppress(ConnectionError):
            self._writer.write(struct.pack(">BH", _HANG_UP, 0))
            self._writer.close()

    def on_key(self, heard: Callable[[str], None]) -> None:
        """Tell of each key that is pressed."""
        self._on_key = heard

    def is_lost(self) -> bool:
        """Whether it went dead: the connection ended without the word that somebody hung up, or nothing came any more."""
        late = asyncio.get_running_loop().time() - self._arrived > LOST_S
        return not self._said_goodbye and (self._over or late)

    async def hear(self) -> Samples | None:
        """What has come in the last moments; None when the call is over."""
        if self._over and self._heard.empty():
            return None
        try:
            return await asyncio.wait_for(self._heard.get(), NOTHING_S)
        except TimeoutError:
            if self._over:
                return None
            return np.zeros(round(NOTHING_S * HEARING_RATE), np.float32)

    def say(self, sound: Sound) -> None:
        """Put it behind what is still to be said."""
        if not self._over:
            self._unsaid += to_pcm16(sound.at(self._rate))

    def hush(self) -> None:
        """Drop what is not on the wire yet."""
        self._unsaid.clear()

    def unsaid_s(self) -> float:
        """Seconds still to be heard at the other end; nothing once the call is over."""
        if self._over:
            return 0.0
        ahead = max(0.0, self._sent_until - asyncio.get_running_loop().time())
        return len(self._unsaid) / (self._rate * _BYTES) + ahead

    @property
    def _rate(self) -> int:
        return _RATES[self._kind]

    async def _packet(self) -> tuple[int, bytes]:
        kind, length = struct.unpack(">BH", await self._reader.readexactly(3))
        return kind, await self._reader.readexactly(length)

    async def _take(self) -> None:
        """Everything that comes, until the call is over."""
        try:
            while not self._said_goodbye:
                async with asyncio.timeout(DEAD_S):
                    kind, content = await self._packet()
                self._arrived = asyncio.get_running_loop().time()
                if kind in (_HANG_UP, _ERROR):
                    self._said_goodbye = kind == _HANG_UP
                    break
                if kind == _KEY and content:
                    self._on_key(content[:1].decode("ascii", "replace"))
                elif kind in _RATES:
                    if kind != self._kind:
                        unsaid = from_pcm16(bytes(self._unsaid), self._rate)
                        self._kind = kind
                        self._unsaid[:] = to_pcm16(unsaid.at(self._rate))
                    samples = self._inflow.take(content, self._rate)
                    if len(samples):
                        await self._heard.put(samples)
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            pass  # the line has been cut, or is dead
        self._over = True

    async def _feed(self) -> None:
        """Asterisk plays what it gets: as it comes, and no faster than it is heard."""
        loop = asyncio.get_running_loop()
        while not self._over:
            piece = round(self._rate * _STEP_S) * _BYTES
            self._sent_until = max(self._sent_until, loop.time())
            while self._unsaid and self._sent_until - loop.time() < _AHEAD_S:
                content = bytes(self._unsaid[:piece]).ljust(piece, b"\0")
                del self._unsaid[:piece]
                self._writer.write(struct.pack(">BH", self._kind, len(content)) + content)
                self._sent_until += _STEP_S
            if self._writer.transport.get_write_buffer_size() > _MOST_UNREAD:
                self._over = True
            await asyncio.sleep(_STEP_S)


def number_in(call: str) -> str | None:
    """The caller's number, which the dialplan writes into the call's id behind as many `f` as fill it; None for any other id."""
    found = re.fullmatch(r"f+(\d{3,20})", call)
    return found[1] if found else None
