"""Calls by AudioSocket: sound and keys over bare TCP, as an Asterisk sends them."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from conftest import LINES, Exchange
from county import until
from mouths import ASKED, GREETING, like
from strict_double import answer

from connectors.audio_socket import number_in
from handoff.store.tables import Address, Case, Conversation, Task, Turn
from voice.audio import decode, from_pcm16, to_pcm16

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]


def free_tcp_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


PORT = free_tcp_port()
# As a county has it whose Asterisk does all the telephony: nothing can be dialled.
SETTINGS = {"AUDIO_SOCKET": f"127.0.0.1:{PORT}", "SIP_USER": ""}
NUMBER = "13822223333"
HANG_UP, ID, KEY, SOUND, SOUND_16K = 0x00, 0x01, 0x03, 0x10, 0x12
STEP_S = 0.02


def call_id(number: str) -> bytes:
    """As the dialplan of docs/operators.md makes it."""
    return bytes.fromhex(number.rjust(32, "f"))


@dataclass
class Asterisk:
    """The far end: it goes on sending twenty milliseconds at a time, silence where nothing is said, as Asterisk does."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    kind: int = SOUND
    heard: bytearray = field(default_factory=bytearray)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """The service has hung up, or the connection has ended."""
    dead: bool = False
    """Nothing comes from it any more, and it does not say that it has gone."""
    _to_say: bytearray = field(default_factory=bytearray)

    def send(self, kind: int, content: bytes = b"") -> None:
        self.writer.write(struct.pack(">BH", kind, len(content)) + content)

    @property
    def rate(self) -> int:
        return 16000 if self.kind == SOUND_16K else 8000

    def say(self, wav: str) -> None:
        self._to_say += to_pcm16(decode(Path(wav)).at(self.rate))

    async def speak(self) -> None:
        piece = round(self.rate * STEP_S) * 2
        due = asyncio.get_running_loop().time()
        while not (self.over.is_set() or self.dead):
            content, self._to_say[:piece] = bytes(self._to_say[:piece]).ljust(piece, b"\0"), b""
            self.send(self.kind, content)
            due += STEP_S
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))

    async def listen(self) -> None:
        try:
            while True:
                kind, length = struct.unpack(">BH", await self.reader.readexactly(3))
                content = await self.reader.readexactly(length)
                if kind == HANG_UP:
                    break
                assert kind == self.kind
                self.heard += content
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        self.over.set()

    async def hears(self, exchange: Exchange, meant: str) -> None:
        """Listen until this, about, was said."""
        await exchange.mouths.hear(lambda: from_pcm16(bytes(self.heard), self.rate), meant)


@asynccontextmanager
async def asterisk(first: bytes = call_id(NUMBER), kind: int = SOUND) -> AsyncIterator[Asterisk]:
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    one = Asterisk(reader, writer, kind)
    one.send(ID, first)
    going = [asyncio.create_task(one.speak()), asyncio.create_task(one.listen())]
    try:
        yield one
    finally:
        for task in going:
            task.cancel()
        await asyncio.gather(*going, return_exceptions=True)
        writer.close()


async def newest(exchange: Exchange) -> tuple[Conversation, list[Turn]]:
    talk = (await exchange.rows(Conversation))[-1]
    return talk, await exchange.rows(Turn, Turn.conversation_id == talk.id)


@pytest.mark.parametrize("kind", [SOUND, SOUND_16K])
async def test_a_call_is_greeted_heard_and_answered(exchange: Exchange, kind: int) -> None:
    exchange.rasa.otherwise = answer("好的，我给您记下来了。")
    ended = len(exchange.actions("telephone.ended"))
    async with asterisk(kind=kind) as far:
        await far.hears(exchange, GREETING)
        far.send(KEY, b"9")

        async def engines() -> list[str]:
            return [turn.engine for turn in (await newest(exchange))[1]]

        await until(engines)
        far.say(exchange.mouths.wav(ASKED))
        await far.hears(exchange, "好的，我给您记下来了。")
        assert await engines() == ["key", "whisper"]
        far.send(HANG_UP)
        assert (await exchange.ended(ended + 1))["broke_off"] is False
        await until(far.over.is_set)
    talk, turns = await newest(exchange)
    (address,) = await exchange.rows(Address, Address.id == talk.address_id)
    assert address.value == NUMBER and talk.channel == "phone"
    assert like(turns[1].text, ASKED) > 0.5
    assert not [line for line in exchange.trial.printed if NUMBER in line or "Traceback" in line]


async def test_a_connection_that_is_cut_is_a_line_that_went_dead(exchange: Exchange) -> None:
    ended = len(exchange.actions("telephone.ended"))
    async with asterisk() as far:
        await far.hears(exchange, GREETING)
        far.writer.transport.abort()
        assert (await exchange.ended(ended + 1))["broke_off"] is True


async def test_a_line_from_which_nothing_comes_is_given_up(exchange: Exchange) -> None:
    ended = len(exchange.actions("telephone.ended"))
    async with asterisk() as far:
        await far.hears(exchange, GREETING)
        far.dead = True
        assert (await exchange.ended(ended + 1))["broke_off"] is True


async def test_where_nobody_can_be_dialled_a_person_is_promised_as_ever(
    exchange: Exchange, on_duty: None
) -> None:
    async with asterisk() as far:
        await far.hears(exchange, GREETING)
        far.send(KEY, b"0")
        await far.hears(exchange, "好，我给您找人。两个工作日里会有人找您。")
        far.send(HANG_UP)
        await until(far.over.is_set)
    talk, _ = await newest(exchange)
    (case,) = await exchange.rows(Case, Case.conversation_id == talk.id)
    assert case.need == "human"
    assert await exchange.rows(Task, Task.case_id == case.id, Task.kind == "call")


async def test_one_call_too_many_is_hung_up_on_at_once(exchange: Exchange) -> None:
    ended = len(exchange.actions("telephone.ended"))
    calls = [asterisk() for _ in range(LINES)]
    talking = [await call.__aenter__() for call in calls]
    try:
        for far in talking:
            await until(lambda far=far: len(far.heard) > 0)
        async with asterisk() as too_many:
            await until(too_many.over.is_set)
            assert not too_many.heard
    finally:
        for far, call in zip(talking, calls, strict=True):
            far.send(HANG_UP)
            await call.__aexit__(None, None, None)
    await exchange.ended(ended + LINES)


NO_ASTERISK = [
    b"", b"GET / HTTP/1.1\r\n\r\n", struct.pack(">BH", SOUND, 320) + bytes(320), struct.pack(">BH", ID, 3) + b"abc",
    struct.pack(">BH", ID, 0xFFFF), bytes(range(256)) * 40,
]  # fmt: skip


async def sent_away(first: bytes) -> bytes:
    """What it is told before the connection is closed by the service; nobody has to close it for that."""
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    writer.write(first)
    told = b""
    with suppress(ConnectionError):  # what was sent besides was never read
        told = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    return told


async def test_what_is_no_asterisk_is_sent_away(exchange: Exchange) -> None:
    before = len(await exchange.rows(Conversation))
    assert set(await asyncio.gather(*map(sent_away, NO_ASTERISK))) == {b""}
    assert len(await exchange.rows(Conversation)) == before
    assert len(exchange.actions("telephone.no_call_id")) == len(NO_ASTERISK)
    assert not [line for line in exchange.trial.printed if "Traceback" in line]


async def test_what_it_does_not_know_is_passed_over(exchange: Exchange) -> None:
    async with asterisk(first=b"0123456789abcdef") as far:
        far.send(0x77, b"anything")
        far.send(KEY)
        far.send(KEY, b"\xff")
        far.send(SOUND)
        far.send(SOUND, b"\x01")
        await far.hears(exchange, GREETING)
        far.send(HANG_UP)
        await until(far.over.is_set)
    talk, turns = await newest(exchange)
    assert turns == []
    assert talk.address_id is None  # an id without a number


async def test_the_number_is_in_the_id_and_no_other_id_holds_one() -> None:
    assert number_in(call_id("13822223333").hex()) == "13822223333"
    assert number_in(call_id("0851855501").hex()) == "0851855501"
    assert number_in("f" * 32) is None
    assert number_in("550e8400e29b41d4a716446655440000") is None
