"""The whole story, once, through the real processes: an old person speaks, a social worker answers."""

import asyncio
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from html import unescape
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from connectors.cli.speech import model_store
from connectors.cli.talk import sse
from connectors.errors import ConnectorError
from connectors.pages import page_phrases
from connectors.screens import danger_screen
from connectors.settings import Settings
from connectors.trial import Trial, trial
from handoff.model.words import KIND_ZH, NEED_ZH, RISK_ZH, DangerKind, Need, Risk
from voice.audio import HEARING_RATE, Sound, disk_error, from_wav, save_wav, to_pcm16
from voice.choice import choose
from voice.recognise import Transcript
from voice.speak import Speaker

VILLAGER_SAYS = "我胸口疼，喘不上气。"
VILLAGER_VOICE = "zf_xiaoyi"
WORKER = "lin"
WORKER_SAYS = "大娘，我是小林。急救车已经出发了。您坐着别动，我马上到。"
FRAME_S = 0.1
STEP_S = 90.0
"""A step takes a second or two; a busy old machine is given far longer."""

Say = Callable[[str], None]


async def tell_story(settings: Settings, out: Path, say: Say) -> None:
    """Tell it line by line with the seconds since the start; raises ConnectorError demo_failed."""
    story = _Story(settings, say)
    story.tell("开始", "起一个真的服务，用全新的库；对话引擎、耳朵和嗓子同时在加载")
    async with AsyncExitStack() as stack:
        speaking = asyncio.create_task(asyncio.to_thread(_villager, settings))
        stack.callback(speaking.cancel)
        service = await stack.enter_async_context(trial(settings))
        jar = aiohttp.CookieJar(unsafe=True)  # cookies of an address without a name
        http = await stack.enter_async_context(aiohttp.ClientSession(service.base, cookie_jar=jar))
        sound = await story.arrive(service, http, speaking)
        stack.callback(story.leave)
        await story.villager_speaks(sound)
        await story.queue_shows()
        await story.worker_answers()
        await story.answer_is_heard(out)
    story.tell("结束", "所有进程都停了，库也删了")


class _Story:
    """The steps, each of which fails by name."""

    def __init__(self, settings: Settings, say: Say) -> None:
        self._settings = settings
        self._say = say
        self._began = time.monotonic()
        self._service: Trial
        self._http: aiohttp.ClientSession
        self._lines: list[asyncio.Task[None]] = []
        self._replies: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._changes: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._talk = ""
        self._csrf = ""
        self._case = ""
        self._answer: dict[str, Any] = {}

    def tell(self, what: str, words: str) -> None:
        """One line of the trail."""
        self._say(f"[{time.monotonic() - self._began:5.1f} 秒] {what}：{words}")

    async def arrive(
        self, service: Trial, http: aiohttp.ClientSession, speaking: "asyncio.Task[Sound]"
    ) -> Sound:
        """Page open, worker signed in, dialogue engine ready; the villager's words as sound."""
        self._service, self._http = service, http
        self.tell("服务", f"在 {service.base} 开始服务")
        async with _step("社工登录"):
            await self._sign_in()
        async with _step("站点页面开始一次谈话"):
            begun = await self._json("/station/api/conversations", {"speaker": "self"})
            self._talk = begun["conversation"]
            self._follow("/station/events", self._replies, "reply", conversation=self._talk)
            self.tell("站点", begun["reply"]["text"])
        async with _step("合成老人的话"):
            sound = await speaking
        # The page loads its own sentences too, and so has the voice ready before it is needed.
        self._lines.append(asyncio.create_task(self._warm_voice()))
        async with _step("等对话引擎", 3 * STEP_S):
            await self._dialogue_ready()
        return sound

    def leave(self) -> None:
        """Close the open lines."""
        for line in self._lines:
            line.cancel()

    # -- the villager ----------------------------------------------------------------------------------

    async def villager_speaks(self, sound: Sound) -> None:
        """The sound goes in as the page sends it; what was heard, screened and understood comes out."""
        self.tell("老人说", f"{VILLAGER_SAYS}（合成的声音，{sound.seconds:.1f} 秒，按话筒的快慢送进去）")
        async with _step("听懂老人的话"):
            heard, reply = await self._through_microphone(sound)
        self.tell("听到", f"{heard['text']}（把握 {heard['confidence']:.0%}）")
        found = danger_screen(self._settings.encoder).screen(heard["text"], confidence=heard["confidence"])
        if not found.risk.at_least(Risk.URGENT) or reply is None or not reply["number"]:
            raise ConnectorError("demo_failed", "演示停在“筛险”：听到的话里没有认出险情。")
        self.tell("筛险", f"{RISK_ZH[found.risk]}，{_kinds(found.kinds)}，因为“{'、'.join(found.why)}”")
        async with _step("理解老人的话"):
            known = await self._service.post(self._http, "/api/understand", {"text": heard["text"]})
        self.tell("理解", f"{NEED_ZH[Need(known['need'])]}（把握 {known['confidence']:.0%}）")
        self.tell("答", reply["text"])
        self.tell("个案号", f"{reply['number']}，先打 {reply['call']}")

    async def _through_microphone(self, sound: Sound) -> tuple[dict[str, Any], dict[str, Any] | None]:
        heard: dict[str, Any] = {}
        async with self._http.ws_connect(f"/station/voice?conversation={self._talk}") as socket:
            start = {"type": "start", "message_id": uuid.uuid4().hex, "rate": HEARING_RATE}
            await socket.send_json(start)
            pcm, step = to_pcm16(sound.at(HEARING_RATE)), int(HEARING_RATE * FRAME_S) * 2
            for at in range(0, len(pcm), step):
                await socket.send_bytes(pcm[at : at + step])
                await asyncio.sleep(FRAME_S)
            await socket.send_json({"type": "end"})
            while True:
                message = await socket.receive_json()
                if message["type"] == "error":
                    raise ConnectorError("demo_failed", f"演示停在“听”：{message['say']}")
                if message["type"] == "heard":
                    heard = message
                if message["type"] == "reply":
                    return heard, message["reply"]

    # -- the worker ------------------------------------------------------------------------------------

    async def _sign_in(self) -> None:
        page = await self._page("/console/sign-in")
        form = {"csrf": _one(r'name="csrf" value="([^"]+)"', page), "name": WORKER}
        form["password"] = await self._password()
        async with self._http.post("/console/sign-in", data=form) as response:
            page = await response.text()
        self._csrf = _one(r'name="csrf" value="([^"]+)"', page)
        self._follow("/console/events", self._changes, "changed")
        self.tell("社工", "小林用第一次启动时印出的密码登录了工作台")

    async def _password(self) -> str:
        while True:
            for line in self._service.printed:
                if found := re.search(rf"登录名 {WORKER}  密码 (\S+)", line):
                    return found[1]
            await asyncio.sleep(0.05)

    async def queue_shows(self) -> None:
        """The case stands in the worker's queue, and her console was told by itself."""
        async with _step("工作台收到通知"):
            event = await self._changes.get()
        self.tell("工作台", f"收到通知：个案 {event['number']}，{RISK_ZH[Risk(event['risk'])]}")
        async with _step("队列里有这件事"):
            page = await self._page("/console/queue?filter=queue&fragment=1")
            self._case = _one(r'data-case="(\d+)"', page)
        why = re.search(r'<p class="why">([^<]*)</p>', page)
        words = [_one(r'class="case-link"[^>]*>([^<]+)<', page), _one(r"<p><b>([^<]+)</b>", page)]
        words += [unescape(kind) for kind in re.findall(r'class="tag kind">([^<]+)<', page)]
        words += [f"起险的话：{unescape(why[1])}"] if why else []
        self.tell("队列", "　".join(words))

    async def worker_answers(self) -> None:
        """She claims the case and answers by the forms of the console."""
        async with _step("社工接下"):
            await self._act("claim")
            self.tell("接下", "社工小林接了这件事")
        async with _step("老人知道有人接了"):
            self.tell("老人看到", (await self._replies.get())["text"])
        async with _step("社工回话"):
            await self._act("reply", text=WORKER_SAYS)
            self.tell("社工答", WORKER_SAYS)
        async with _step("回话到了老人面前"):
            self._answer = await self._replies.get()
        who = self._answer["held_by"] or "社工"
        self.tell("老人收到", f"{who}：{self._answer['text']}")

    async def _act(self, verb: str, **fields: str) -> None:
        form = {"csrf": self._csrf, **fields}
        async with self._http.post(f"/console/cases/{self._case}/{verb}", data=form) as response:
            page = await response.text()
        if response.status != 200:
            error = re.search(r'role="alert"[^>]*>([^<]+)<', page)
            raise ConnectorError("demo_failed", f"演示停在“{verb}”：{error[1] if error else '没有办成'}")

    # -- the answer, aloud -----------------------------------------------------------------------------

    async def answer_is_heard(self, out: Path) -> None:
        """The answer as the page plays it, kept in a file, and read back by the recogniser."""
        async with _step("把回话念出来"):
            spoken = [from_wav(await self._bytes(address)) for address in self._answer["speech"]]
        whole = Sound(np.concatenate([sound.samples for sound in spoken]), spoken[0].rate)
        await asyncio.to_thread(_save, whole, out)
        self.tell("念出来", f"{whole.seconds:.1f} 秒，存在 {out}")
        async with _step("再听一遍"):
            again = await asyncio.to_thread(_hear, self._settings, whole)
        self.tell("再听一遍", again.text)

    # -- the wire --------------------------------------------------------------------------------------

    def _follow(self, path: str, into: "asyncio.Queue[dict[str, Any]]", event: str, **query: str) -> None:
        async def follow() -> None:
            forever = aiohttp.ClientTimeout(total=None)
            async with self._http.get(path, params=query, timeout=forever) as response:
                async for name, data in sse(response):
                    if name == event:
                        into.put_nowait(data)
                        if event == "reply":
                            await self._json("/station/api/seen", {**query, "replies": [data["id"]]})

        self._lines.append(asyncio.create_task(follow()))

    async def _warm_voice(self) -> None:
        await self._bytes(f"/station/speech/page/{next(iter(page_phrases()))}.wav")

    async def _dialogue_ready(self) -> None:
        while True:
            async with self._http.get("/api/health") as response:
                if (await response.json())["dialogue"]:
                    self.tell("对话引擎", "加载好了")
                    return
            for line in self._service.printed:
                if line.startswith("对话引擎用不了"):
                    raise ConnectorError("no_rasa", line)
            await asyncio.sleep(0.1)

    async def _json(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        async with self._http.post(path, json=body) as response:
            answer = dict(await response.json())
        if response.status != 200:
            raise ConnectorError("demo_failed", f"演示停下了：{answer.get('say')}")
        return answer

    async def _page(self, path: str) -> str:
        async with self._http.get(path) as response:
            return await response.text()

    async def _bytes(self, path: str) -> bytes:
        async with self._http.get(path) as response:
            response.raise_for_status()
            return await response.read()


@asynccontextmanager
async def _step(name: str, seconds: float = STEP_S) -> AsyncIterator[None]:
    """What does not happen in time, or breaks, ends the story by the step's name."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise ConnectorError("demo_failed", f"演示停在“{name}”：{seconds:.0f} 秒里没有等到。") from error
    except (aiohttp.ClientError, KeyError, TypeError, ValueError) as error:
        raise ConnectorError("demo_failed", f"演示停在“{name}”：服务答得不对。") from error


def _villager(settings: Settings) -> Sound:
    speaker = Speaker(model_store(settings), voice=VILLAGER_VOICE, prefer=settings.voice)
    return speaker.say(VILLAGER_SAYS)


def _hear(settings: Settings, sound: Sound) -> Transcript:
    recogniser = choose(model_store(settings), prefer=settings.recogniser)
    return recogniser.transcribe(sound)


def _save(sound: Sound, out: Path) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(error, out.parent) from error
    save_wav(sound, out)


def _kinds(kinds: tuple[DangerKind, ...]) -> str:
    return "、".join(KIND_ZH[kind] for kind in kinds)


def _one(pattern: str, page: str) -> str:
    found = re.search(pattern, page)
    if found is None:
        raise ValueError(pattern)
    return unescape(found[1])
