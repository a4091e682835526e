"""Keeps one Rasa process running: started, watched, restarted with back-off, ended with the service."""

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable
from pathlib import Path

import structlog

from connectors.errors import ConnectorError
from connectors.rasa_client import RasaClient
from connectors.rasa_model import ensure_model, rasa_environment
from connectors.settings import ROOT, Settings

log = structlog.get_logger()

CHECK_EVERY_S = 5.0
GIVEN_UP_AFTER = 3
"""So many lives in a row that never became ready are told to the operator; it is tried on all the same."""
HANGS_AFTER = 3
"""So many unanswered checks in a row mean that the process hangs."""
LONGEST_WAIT_S = 30.0


class RasaSupervisor:
    """Owns the process; the client's address is set while, and only while, Rasa is ready."""

    def __init__(
        self, settings: Settings, client: RasaClient, say: Callable[[str], None] = lambda _line: None
    ) -> None:
        self._settings = settings
        self._client = client
        self._say = say
        self._process: asyncio.subprocess.Process
        self._task: asyncio.Task[None] | None = None
        self.ready = asyncio.Event()
        self.failed = asyncio.Event()
        self.failure: ConnectorError | None = None
        """Why there will be no Rasa until somebody mends it."""

    def start(self) -> None:
        """Begin to train if needed, load and watch, in the background."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """End Rasa and the watch over it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            model = await ensure_model(self._settings, self._say)
        except (ConnectorError, OSError) as error:
            plain = ConnectorError("training_failed", "对话模型存不下来，请检查磁盘。")
            self._fail(error if isinstance(error, ConnectorError) else plain)
            return
        wait_s, stillborn = 1.0, 0
        while True:
            was_ready = await self._one_life(model)
            wait_s, stillborn = (1.0, 0) if was_ready else (min(wait_s * 2, LONGEST_WAIT_S), stillborn + 1)
            if stillborn == GIVEN_UP_AFTER:
                self._fail(
                    ConnectorError(
                        "rasa_wont_start",
                        "对话引擎起了几次都没起来。请运行 xiangyin doctor；不行就 make clean 后重来。",
                    )
                )
            log.warning("rasa.restart", wait_s=wait_s)
            await asyncio.sleep(wait_s)

    def _fail(self, failure: ConnectorError) -> None:
        """Say it once; danger is still screened, and everything else goes to people."""
        self.failure = failure
        self.failed.set()
        log.error("rasa.impossible", code=failure.code)
        self._say(f"对话引擎用不了：{failure.message}")

    async def _one_life(self, model: Path) -> bool:
        """From start to end of one process; whether it ever became ready."""
        port = free_port()
        try:
            await self._spawn(model, port)
        except OSError as error:
            log.error("rasa.no_process", errno=error.errno)
            return False
        try:
            was_ready = await self._until_ready(port)
            if was_ready:
                await self._watch()
        finally:
            self._client.url = ""
            self.ready.clear()
            await self._end()
        return was_ready

    async def _spawn(self, model: Path, port: int) -> None:
        self._process = await asyncio.create_subprocess_exec(
            self._settings.rasa_python, ROOT / "bot" / "serve.py", "--model", model, "--port", str(port),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            env=rasa_environment(self._settings),
        )  # fmt: skip
        log.info("rasa.started", pid=self._process.pid)

    async def _until_ready(self, port: int) -> bool:
        said = asyncio.create_task(self._read_output())
        try:
            await asyncio.wait_for(said, self._settings.rasa_patience_s)
        except TimeoutError:
            log.error("rasa.too_slow")
            return False
        if not said.result():
            return False
        self._client.url = f"http://127.0.0.1:{port}"
        self.ready.set()
        log.info("rasa.ready", port=port)
        return True

    async def _read_output(self) -> bool:
        """Whether Rasa says that it is ready before it ends."""
        async for line in _lines(self._process):
            with contextlib.suppress(ValueError, AttributeError):
                if json.loads(line).get("action") == "rasa.ready":
                    return True
        return False

    async def _watch(self) -> None:
        """Returns when the process has ended or hangs."""
        drain = asyncio.create_task(self._drain())
        missed = 0
        try:
            while missed < HANGS_AFTER:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._process.wait(), CHECK_EVERY_S)
                    return
                missed = 0 if await self._client.is_well() else missed + 1
            log.error("rasa.hangs")
        finally:
            drain.cancel()

    async def _drain(self) -> None:
        """A full pipe would stop Rasa; what it prints is already free of words."""
        async for _line in _lines(self._process):
            pass

    async def _end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()  # Rasa keeps nothing, so there is nothing for it to put in order
        await self._process.wait()


def _lines(process: asyncio.subprocess.Process) -> asyncio.StreamReader:
    if process.stdout is None:
        raise RuntimeError("the process was started without a pipe")
    return process.stdout


def free_port() -> int:
    """A TCP port on loopback that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
