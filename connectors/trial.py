"""A service of one's own on a fresh store, as a real process: for replay, benches, the demo and tests."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from connectors.errors import ConnectorError
from connectors.rasa_client import RasaClient
from connectors.settings import Settings, read_settings
from connectors.supervisor import RasaSupervisor

STARTS_WITHIN_S = 90.0


@dataclass
class Trial:
    """A service process with a folder of its own; it can be killed and started again on the same store."""

    folder: Path
    env: dict[str, str]
    base: str = ""
    process: asyncio.subprocess.Process | None = None
    printed: list[str] = field(default_factory=list)
    _reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the process and wait until it serves."""
        address = self.folder / "address"
        address.unlink(missing_ok=True)
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "connectors.cli", "run", "--port", "0", env=os.environ | self.env,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self._reading = asyncio.create_task(self._read(self.process))
        deadline = asyncio.get_running_loop().time() + STARTS_WITHIN_S
        while not (address.exists() and address.read_text()):
            if self.process.returncode is not None or asyncio.get_running_loop().time() > deadline:
                await self._reading
                raise ConnectorError("no_start", "服务没有启动成：" + " ".join(self.printed[-3:]))
            await asyncio.sleep(0.02)
        self.base = address.read_text()

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        if process.stdout is not None:
            async for line in process.stdout:
                self.printed.append(line.decode("utf-8", "replace").rstrip())

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End the process by a signal and wait for it; its exit status."""
        if self.process is None:
            return 0
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(how)
        try:
            status = await asyncio.wait_for(self.process.wait(), 20)
        except TimeoutError:
            self.process.kill()
            status = await self.process.wait()
        if self._reading is not None:
            await self._reading
        self.process = None
        return status

    @property
    def token(self) -> str:
        """The gateway's token of this service."""
        return read_settings(data=self.folder).api_token

    async def post(self, http: aiohttp.ClientSession, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """A request to the gateway; raises ConnectorError with the service's own code and sentence."""
        headers = {"Authorization": f"Bearer {self.token}"}
        async with http.post(self.base + path, json=body, headers=headers) as response:
            answer = await response.json()
        if response.status != 200:
            raise ConnectorError(str(answer.get("error", response.status)), str(answer.get("say", "")))
        return dict(answer)


@asynccontextmanager
async def trial(settings: Settings, *, rasa_url: str = "", **more: str) -> AsyncIterator[Trial]:
    """A started service on a fresh folder that is removed at the end; `more` are settings in capitals."""
    folder = Path(tempfile.mkdtemp(prefix="xiangyin-"))
    env = {
        "XIANGYIN_DATA": str(folder), "XIANGYIN_RASA_URL": rasa_url, "XIANGYIN_RASA_PYTHON": str(settings.rasa_python), "XIANGYIN_HOST": "127.0.0.1",
        "XIANGYIN_RASA_MODELS": str(settings.rasa_models), "XIANGYIN_MODELS": str(settings.models), "XIANGYIN_WARM_VOICES": "false",
        "XIANGYIN_ENDS_WITH_STDIN": "true", "XIANGYIN_TLS_CERTIFICATE": "", "XIANGYIN_SECRET_KEY": "", "XIANGYIN_DATABASE_URL": "",
    }  # fmt: skip
    env |= {f"XIANGYIN_{name}": value for name, value in more.items()}
    one = Trial(
        folder, {key: value for key, value in env.items() if value or key != "XIANGYIN_TLS_CERTIFICATE"}
    )
    try:
        await one.start()
        yield one
    finally:
        await one.stop()
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def own_rasa(settings: Settings) -> AsyncIterator[RasaClient]:
    """A Rasa for this program alone, ready to answer; raises ConnectorError where it can't be had."""
    client = RasaClient(timeout_s=max(settings.dialogue_timeout_s, 10.0))
    supervisor = RasaSupervisor(settings, client, lambda line: print(line, file=sys.stderr, flush=True))
    supervisor.start()
    try:
        await _until_ready(settings, supervisor)
        yield client
    finally:
        await supervisor.close()
        await client.close()


async def _until_ready(settings: Settings, supervisor: RasaSupervisor) -> None:
    ready = asyncio.ensure_future(supervisor.ready.wait())
    failed = asyncio.ensure_future(supervisor.failed.wait())
    try:
        done, _ = await asyncio.wait(
            {ready, failed}, timeout=settings.rasa_patience_s * 3, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        ready.cancel()
        failed.cancel()
    if supervisor.failure is not None:
        raise supervisor.failure
    if not done:
        raise ConnectorError("no_rasa", "对话引擎一直没有起来。请运行 xiangyin doctor 看看缺什么。")
