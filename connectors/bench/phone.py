"""Drives `caller`, a telephone in a process of its own."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors.errors import ConnectorError

CALLER = "connectors.bench.caller"


def free_port() -> int:
    """A UDP port that nobody has just now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def sip_settings(port: int) -> dict[str, str]:
    """Settings of a trial whose telephone takes calls on loopback at this port."""
    return {
        "SIP_USER": "xiangyin", "SIP_DOMAIN": "127.0.0.1", "SIP_LISTEN": f"127.0.0.1:{port}",
        "SIP_INTERFACE": "127.0.0.1", "WARM_VOICES": "true", "CALLS_OUT": "false",
    }  # fmt: skip


@dataclass
class Phone:
    """One call that is going on."""

    process: asyncio.subprocess.Process
    folder: Path
    heard: int = 0

    async def _do(self, *command: Any) -> dict[str, Any]:
        to, out = self.process.stdin, self.process.stdout
        if to is None or out is None:
            raise RuntimeError("the caller has no pipes")
        to.write(json.dumps(command).encode() + b"\n")
        line = await asyncio.wait_for(out.readline(), 90)
        return dict(json.loads(line or b'{"did": "gone", "over": true}'))

    async def rung(self, most_s: float = 60.0) -> None:
        """Until a call has come in and is answered."""
        out = self.process.stdout
        line = await asyncio.wait_for(out.readline(), most_s) if out is not None else b""
        if not line or json.loads(line)["did"] != "call":
            raise ConnectorError("no_call", "没有电话打来。")

    async def say(self, wav: str) -> dict[str, Any]:
        """Speak; returns when the last sample is out."""
        return await self._do("say", wav)

    async def begin(self, wav: str) -> dict[str, Any]:
        """Speak while going on."""
        return await self._do("begin", wav)

    async def key(self, digit: str) -> dict[str, Any]:
        """Press a key."""
        return await self._do("key", digit)

    async def wait(self, seconds: float) -> dict[str, Any]:
        """Hold the line."""
        return await self._do("wait", seconds)

    async def hear(self, most_s: float = 30.0, gap_s: float = 2.0) -> tuple[Path, dict[str, Any]]:
        """Listen until the other side has spoken and been silent for a while."""
        self.heard += 1
        path = self.folder / f"heard-{self.process.pid}-{self.heard}.wav"
        return path, await self._do("hear", most_s, gap_s, str(path))

    async def until_said(self) -> dict[str, Any]:
        """Until what was begun is out."""
        return await self._do("until said")

    async def until_sound(self, most_s: float) -> dict[str, Any]:
        """Wait until a sound begins."""
        return await self._do("until sound", most_s)

    async def record(self, path: Path) -> None:
        """Both sides of the call so far: what was said here on the left, what was heard on the right."""
        await self._do("record", str(path))

    async def hang_up(self) -> None:
        """Properly."""
        await self._do("hang up")

    async def vanish(self) -> None:
        """The line is cut: no goodbye, no more packets."""
        await self._do("vanish")


@asynccontextmanager
async def call(
    port: int, folder: Path, number: str = "13812345678", *, buffered: bool = True
) -> AsyncIterator[Phone]:
    """Dial; the call is over at the end. `buffered`: it keeps sound back for late packets, as a telephone does."""
    how = [] if buffered else ["--unbuffered"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", CALLER, str(port), number, *how, env=dict(os.environ),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        first = await asyncio.wait_for(process.stdout.readline(), 40) if process.stdout else b""
        told = json.loads(first or b'{"did": "gone"}')
        if told["did"] != "call":
            raise ConnectorError("no_call", f"电话没有打通（{told.get('status') or told['did']}）。")
        yield Phone(process, folder)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()


@asynccontextmanager
async def answering(port: int, folder: Path, number: str, *, refuses: bool = False) -> AsyncIterator[Phone]:
    """A telephone that waits to be called at this port; `Phone.rung` returns once it talks."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", CALLER, str(port), number, "--refuses" if refuses else "--answers", env=dict(os.environ),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        first = await asyncio.wait_for(process.stdout.readline(), 40) if process.stdout else b""
        if not first or json.loads(first)["did"] != "ready":
            raise ConnectorError("no_call", "电话没有准备好。")
        yield Phone(process, folder)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()
