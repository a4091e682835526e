"""A conversation in the terminal: with the running service, else with a trial service of its own."""

import asyncio
import contextlib
import json
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from connectors.cli.lines import ask_service, running_service, service_session
from connectors.cli.speech import model_store
from connectors.cli.streams import print_json, stdin_lines
from connectors.errors import ConnectorError
from connectors.settings import Settings, read_settings
from connectors.trial import own_rasa, trial
from voice.audio import Sound, disk_error, save_wav
from voice.play import play
from voice.speak import Speaker

PROMPT = "您："
SOUND_CARD = "-"
PAUSE_S = 0.6
"""Between two replies in a file."""
LINE_BACK_S = 2.0


class _Mouth:
    """Speaks replies on the sound card, or gathers them for one WAV file."""

    def __init__(self, speaker: Speaker, target: str) -> None:
        self._speaker = speaker
        self._file = None if target == SOUND_CARD else Path(target)
        self._said: list[Sound] = []
        self._turn = asyncio.Lock()

    async def say(self, reply: dict[str, Any]) -> None:
        """One reply, at the person's own pace and volume; raises VoiceError."""
        async with self._turn:
            sound = await asyncio.to_thread(
                self._speaker.say, reply["text"], speed=reply["speed"], volume=reply["volume"]
            )
            if self._file is None:
                await asyncio.to_thread(play, sound)
            else:
                self._said.append(sound)

    def save(self) -> None:
        """All that was said, one after another; raises VoiceError disk_full or folder_unwritable."""
        if self._file is None or not self._said:
            return
        rate = self._said[0].rate
        pause = np.zeros(int(rate * PAUSE_S), dtype=np.float32)
        pieces = [piece for sound in self._said for piece in (sound.at(rate).samples, pause)]
        save_wav(Sound(np.concatenate(pieces[:-1]), rate), self._file)


class _Talk:
    """One conversation over the gateway, and what comes later on the page's own line."""

    def __init__(self, http: aiohttp.ClientSession, mouth: _Mouth | None, as_json: bool) -> None:
        self._http = http
        self._mouth = mouth
        self._as_json = as_json
        self._shown: set[str] = set()
        self._token = ""
        self.at_terminal = sys.stdin.isatty() and not as_json

    async def begin(self) -> None:
        """Open the conversation and greet."""
        begun = await ask_service(self._http, "/api/conversations", {"channel": "terminal"})
        self._token = begun["conversation"]
        if not self._as_json:
            await self._show(begun["reply"])

    async def run(self) -> None:
        """Turn after turn until the input ends."""
        listening = asyncio.create_task(self._listen()) if self.at_terminal else None
        try:
            self._prompt()
            async for text in stdin_lines():
                if self.at_terminal and not text.strip():
                    return
                await self._turn(text)
                self._prompt()
        finally:
            if listening is not None:
                listening.cancel()

    async def _turn(self, text: str) -> None:
        body = {"conversation": self._token, "message_id": uuid.uuid4().hex, "text": text}
        outcome = await ask_service(self._http, "/api/turns", body)
        reply = outcome["reply"]
        if self._as_json:
            known = reply or {}
            fields = {"text": text, "reply": known.get("text", ""), "number": known.get("number")}
            print_json(fields | {"call": known.get("call"), "held_by": outcome["held_by"]})
            if reply and self._mouth is not None:
                await self._mouth.say(reply)
        elif reply:
            await self._show(reply)
        else:
            print(f"（{outcome['held_by'] or '社工'}正在跟您说话，您的话已经给到了。）", flush=True)

    async def _show(self, reply: dict[str, Any]) -> None:
        if reply["id"] in self._shown:
            return
        self._shown.add(reply["id"])
        who = (reply["held_by"] or "社工") if reply["from"] == "worker" else "乡音"
        print(f"{who}：{reply['text']}", flush=True)
        if reply["call"]:
            print(f"  ☎ {reply['call']}", flush=True)
        if self._mouth is not None:
            await self._mouth.say(reply)

    async def _listen(self) -> None:
        """What a worker says later; the line is opened again whenever it breaks."""
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, ConnectorError):
                await self._follow()
            await asyncio.sleep(LINE_BACK_S)

    async def _follow(self) -> None:
        forever = aiohttp.ClientTimeout(total=None, sock_read=60)
        where = {"conversation": self._token}
        async with self._http.get("/station/events", params=where, timeout=forever) as response:
            async for name, data in sse(response):
                if name != "reply":
                    continue
                if data["id"] not in self._shown:
                    print()
                    await self._show(data)
                    self._prompt()
                await ask_service(self._http, "/station/api/seen", where | {"replies": [data["id"]]})

    def _prompt(self) -> None:
        if self.at_terminal:
            print(PROMPT, end="", flush=True)


async def talk_in_terminal(settings: Settings, voice: str | None, as_json: bool) -> None:
    """Lines in, replies out, until the input ends (at a terminal an empty line ends too)."""
    mouth = await _mouth(settings, voice) if voice else None
    async with _service(settings, as_json) as http:
        talk = _Talk(http, mouth, as_json)
        await talk.begin()
        try:
            await talk.run()
        finally:
            if mouth is not None:
                mouth.save()


async def _mouth(settings: Settings, target: str) -> _Mouth:
    if target != SOUND_CARD:
        _check_writable(Path(target))
    speaker = Speaker(model_store(settings), prefer=settings.voice)
    await asyncio.to_thread(speaker.load)
    return _Mouth(speaker, target)


def _check_writable(file: Path) -> None:
    """Before a long talk rather than after it."""
    try:
        file.touch()
    except OSError as error:
        raise disk_error(error, file.parent) from error


@asynccontextmanager
async def _service(settings: Settings, as_json: bool) -> AsyncIterator[aiohttp.ClientSession]:
    base = await running_service(settings, with_dialogue=False)
    if base:
        async with service_session(settings, base) as http:
            yield http
        return
    if not as_json:
        print("服务没有在运行，现在起一个试用的：说的话不会留下，也不会有社工看到。", flush=True)
    async with own_rasa(settings) as rasa, trial(settings, rasa_url=rasa.url) as one:
        async with service_session(read_settings(data=one.folder), one.base) as http:
            yield http


async def sse(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, Any]]:
    """Name and data of each server-sent event; raises ConnectorError where there is no such line."""
    if response.status != 200 or response.content_type != "text/event-stream":
        raise ConnectorError("no_events", "服务没有开出消息通道。")
    name = ""
    async for raw in response.content:
        line = raw.decode().rstrip("\n")
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))
