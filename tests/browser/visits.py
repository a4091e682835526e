"""What people do before the two pages: a visit at the station, a shift at the console."""

import asyncio
import contextlib
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from chromium import Tab

from connectors.trial import Trial


def accounts(one: Trial) -> dict[str, str]:
    """Login name → password of the demonstration county, as the service printed them once."""
    found = [re.search(r"登录名 (\w+)\s+密码 (\S+)", line) for line in one.printed]
    return {match[1]: match[2] for match in found if match}


@dataclass
class StationVisit:
    """Somebody at the station page."""

    tab: Tab

    async def state(self, *wanted: str) -> None:
        """Wait until the page is in one of the states: idle, opening, listening, thinking, speaking."""
        await self.tab.until(f"{list(wanted)}.includes(document.body.dataset.state)")

    async def say_aloud(self, seconds: float) -> None:
        """Touch the big button, speak for so long as the recording lasts, touch again."""
        await self.tab.click("#talk")
        await self.state("listening")
        await asyncio.sleep(seconds)  # a recording takes as long as it takes
        await self.tab.click("#talk")

    async def hold_and_say(self, seconds: float) -> None:
        """Hold the big button down while speaking, then let go."""
        await self.tab.mouse("mousePressed", "#talk")
        await self.state("listening")
        await asyncio.sleep(seconds)
        await self.tab.mouse("mouseReleased", "#talk")

    async def type(self, text: str) -> None:
        """Type and send."""
        await self.tab.write("#typed", text)
        await self.tab.click("#send")

    async def answer(self, part: str = "") -> str:
        """Wait for an answer that holds the part; the text of the newest."""
        await self.tab.until_text(".answer:last-child p", part or "。")
        return await self.tab.text(".answer:last-child p")

    async def heard_answer(self) -> None:
        """Wait until every sentence of the newest answer was fetched, audible, and played to its end."""
        await self.tab.until("document.querySelectorAll('.answer:last-child span').length > 0")
        await self.tab.until(
            """(() => { const sounds = window.heardSounds.filter((one) => one.seconds > 0.3);
            return sounds.length > 0 && sounds.every((one) => one.running && one.ended); })()"""
        )
        await self.state("idle", "listening")

    def speech(self) -> list[tuple[int, str]]:
        """(status, address) of every answer's sentence that was fetched as sound."""
        return [
            (status, url)
            for status, url in self.tab.answers
            if re.search(r"/station/speech/[0-9a-f]{32}/\d+\.wav", url)
        ]

    async def size_of(self, selector: str) -> float:
        """The computed size of the element's letters in CSS pixels."""
        return float(
            await self.tab.js(f"parseFloat(getComputedStyle(document.querySelector('{selector}')).fontSize)")
        )


@dataclass
class Console:
    """A worker at the console."""

    tab: Tab
    base: str

    async def sign_in(self, name: str, password: str) -> None:
        """By the form, as anybody does."""
        await self.tab.goto(f"{self.base}/console/sign-in")
        await self.tab.write("#name", name)
        await self.tab.write("#password", password)
        await self.tab.key("Enter")
        await self.ready("queue")

    def row(self, number: str) -> str:
        """The selector of a case's line in the queue."""
        return f'.case-row[data-number="{number}"]'

    async def open(self, number: str) -> None:
        """Open the case by its link."""
        await self.tab.click(f"{self.row(number)} .case-link")
        await self.ready("case")

    async def ready(self, page: str) -> None:
        """Wait until the page is there, its script too, with its line of events open."""
        await self.tab.until(
            f"document.body.dataset.page === '{page}' && document.querySelector('#live').dataset.live === 'on'"
        )

    async def claim(self) -> None:
        """Claim the open case."""
        await self.tab.click("#case-head .claim")
        await self.tab.until("document.querySelector('#reply') !== null")
        await self.ready("case")

    async def reply(self, text: str) -> None:
        """Write to the person and send."""
        await self.tab.write("#reply", text)
        await self.tab.key("Enter", modifiers=2)
        await self.tab.until_text("#conversation", text)


class Door:
    """An address that stays while the service behind it is killed and started again elsewhere."""

    def __init__(self, one: Trial) -> None:
        self.one = one
        self.base = ""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Pass connections on while this lasts; without a service behind, they break."""
        running: set[asyncio.Task[None]] = set()

        async def enter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            running.add(task)
            try:
                await self._pass(reader, writer)
            finally:
                running.discard(task)

        server = await asyncio.start_server(enter, "127.0.0.1", 0)
        self.base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield
        finally:
            server.close()
            for task in [*running]:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await server.wait_closed()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", urlsplit(self.one.base).port)
        except OSError:
            await _shut(writer)
            return
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))

    async def kill(self) -> None:
        """kill -9."""
        await self.one.stop(signal.SIGKILL)


async def _copy(source: asyncio.StreamReader, into: asyncio.StreamWriter) -> None:
    try:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                into.write(data)
                await into.drain()
    finally:
        await _shut(into)


async def _shut(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
