"""The station page: its files, typed and spoken turns, answers as speech, and the line for what comes later."""

import asyncio
import json
from typing import Any

import structlog
from aiohttp import WSMsgType, web

from connectors.errors import ConnectorError
from connectors.pages import PAGES, page_phrases
from connectors.replies import present, present_outcome
from connectors.root import Service
from connectors.web import json_body, text_field
from handoff.console.live import live_line
from handoff.model.errors import HandoffError
from handoff.model.nouns import Opening, Outcome, Utterance
from handoff.model.words import Channel, Speaker
from handoff.service.hub import Event, of_conversation
from voice.audio import HEARING_RATE
from voice.errors import VoiceError
from voice.recognise import RecogniserStream, Transcript
from voice.speak import Speaker as Voice

log = structlog.get_logger()

MAX_TEXT = 200_000  # characters of one typed turn
MAX_SOUND_S = 120
MAX_SOUND = HEARING_RATE * 2 * MAX_SOUND_S  # bytes of 16-bit PCM
FRAME_LIMIT = 256 * 1024  # bytes


class StationPage:
    """Routes under /station."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._domain = service.domain

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        app.router.add_get("/station", self._page)
        app.router.add_static("/station/static", PAGES)
        app.router.add_post("/station/api/conversations", self._begin)
        app.router.add_post("/station/api/turns", self._turn)
        app.router.add_post("/station/api/seen", self._seen)
        app.router.add_get("/station/events", self._events)
        app.router.add_get("/station/voice", self._voice)
        app.router.add_get(r"/station/speech/page/{key:[a-z-]+}.wav", self._page_speech)
        app.router.add_get(r"/station/speech/{reply:[0-9a-f]{32}}/{n:\d{1,4}}.wav", self._speech)

    async def _page(self, _request: web.Request) -> web.StreamResponse:
        return web.FileResponse(PAGES / "station.html", headers={"Cache-Control": "no-cache"})

    async def _begin(self, request: web.Request) -> web.StreamResponse:
        body = await json_body(request)
        try:
            speaker = Speaker(body.get("speaker", "self"))
        except ValueError as error:
            raise ConnectorError("bad_request", "speaker 只能是 self、family 或 volunteer。") from error
        station = body.get("station") or await self._domain.talks.only_station()
        token, reply = await self._domain.turns.begin(
            Opening(Channel.KIOSK, speaker, str(station) if station else None)
        )
        return await self._answer(request, {"conversation": token, "reply": present(reply, token)})

    async def _turn(self, request: web.Request) -> web.StreamResponse:
        body = await json_body(request)
        token = text_field(body, "conversation", longest=64)
        text = text_field(body, "text", longest=MAX_TEXT, empty=True)
        outcome = await self._take(Utterance(token, text_field(body, "message_id", longest=128), text))
        return await self._answer(request, present_outcome(outcome, token))

    async def _take(self, utterance: Utterance) -> Outcome:
        # Shielded: a page that goes away in the middle must not stop what it has asked for.
        return await asyncio.shield(asyncio.ensure_future(self._domain.turns.take(utterance)))

    async def _answer(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        """Send, and only when the page has taken it put on record that the reply was shown."""
        response = web.json_response(body)
        await response.prepare(request)
        await response.write_eof()
        if body.get("reply") and request.transport is not None and not request.transport.is_closing():
            self._domain.dispatch.shown(body["reply"]["id"])
        return response

    async def _seen(self, request: web.Request) -> web.StreamResponse:
        body = await json_body(request)
        replies = body.get("replies")
        if not isinstance(replies, list) or len(replies) > 100:
            raise ConnectorError("bad_request", "replies 应是一个列表。")
        for reply in replies:
            found = await self._domain.talks.reply_of(
                text_field(body, "conversation", longest=64), str(reply)
            )
            self._domain.dispatch.shown(found.id)
        return web.json_response({"ok": True})

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Replies that come later: a worker's answer, what could not be shown before."""
        token = request.query.get("conversation", "")
        talk = await self._domain.talks.conversation_id(token)

        async def translate(event: Event) -> tuple[str, Any] | None:
            if event["event"] == "reply":
                return "reply", present(await self._domain.talks.reply_of(token, event["reply"]), token)
            return "state", {"held_by": await self._domain.talks.held_by(talk)}

        async def on_open() -> None:
            await self._domain.dispatch.page_is_back(talk)

        return await live_line(request, self._domain.hub, (of_conversation(talk),), translate, on_open)

    async def _speech(self, request: web.Request) -> web.StreamResponse:
        reply = await self._domain.talks.reply_of(
            request.query.get("conversation", ""), request.match_info["reply"]
        )
        sentences = Voice.sentences(reply.text)
        n = int(request.match_info["n"])
        if n >= len(sentences):
            raise ConnectorError("no_such_reply", "没有这句话。")
        sound = await self._service.voices.speak(sentences[n], speed=reply.speed, volume=reply.volume)
        return web.Response(
            body=sound, content_type="audio/wav", headers={"Cache-Control": "private, max-age=600"}
        )

    async def _page_speech(self, request: web.Request) -> web.StreamResponse:
        """The page's own sentences ("the network is gone"), which it loads ahead."""
        text = page_phrases().get(request.match_info["key"])
        if text is None:
            raise ConnectorError("no_such_reply", "没有这句话。")
        sound = await self._service.voices.speak(text, speed=1.0, volume=1.0)
        return web.Response(
            body=sound, content_type="audio/wav", headers={"Cache-Control": "public, max-age=86400"}
        )

    async def _voice(self, request: web.Request) -> web.StreamResponse:
        token = request.query.get("conversation", "")
        await self._domain.talks.conversation_id(token)
        socket = web.WebSocketResponse(heartbeat=20, max_msg_size=FRAME_LIMIT)
        await socket.prepare(request)
        try:
            await _Hearing(self._service, socket, token, self._take).run()
        except ConnectionError:
            pass  # the page keeps the recording and sends it again with the same message id
        finally:
            await socket.close()
        return socket


class _Hearing:
    """One open microphone: utterance after utterance until the page closes it."""

    def __init__(self, service: Service, socket: web.WebSocketResponse, token: str, take: Any) -> None:
        self._service = service
        self._socket = socket
        self._token = token
        self._take = take
        self._stream: RecogniserStream | None = None
        self._message_id = ""
        self._received = 0
        self._partial = ""

    async def run(self) -> None:
        """Take messages until the socket closes."""
        async for message in self._socket:
            try:
                if message.type is WSMsgType.BINARY:
                    await self._sound(message.data)
                elif message.type is WSMsgType.TEXT:
                    await self._control(message.data)
            except (VoiceError, HandoffError, ConnectorError) as error:
                self._stream = None
                log.warning("hearing.failed", code=error.code)
                await self._socket.send_json(
                    {"type": "error", "error": error.code, "say": error.message, "reply": None}
                )

    async def _control(self, data: str) -> None:
        try:
            order = json.loads(data)
            kind = order["type"]
        except (ValueError, KeyError, TypeError) as error:
            raise ConnectorError("bad_request", "看不懂页面发来的话。") from error
        if kind == "start":
            await self._start(order)
        elif kind == "end":
            await self._end()

    async def _start(self, order: dict[str, Any]) -> None:
        self._message_id = text_field(order, "message_id", longest=128)
        if order.get("rate") != HEARING_RATE:
            raise ConnectorError("bad_request", f"录音须是每秒 {HEARING_RATE} 个采样。")
        self._received, self._partial = 0, ""
        likely = await self._service.domain.talks.likely_words(self._token)
        self._stream = (await self._service.voices.recogniser()).stream(expect=likely)

    async def _sound(self, pcm: bytes) -> None:
        stream = self._stream
        if stream is None:
            return
        self._received += len(pcm)
        if self._received > MAX_SOUND:
            raise ConnectorError("too_long", "一次说得太长了，请分几次说。我先听到这里。")
        partial = await self._service.voices.listen(lambda: stream.feed(pcm[: len(pcm) // 2 * 2]))
        if partial and partial != self._partial:
            self._partial = partial
            await self._socket.send_json({"type": "partial", "text": partial})

    async def _end(self) -> None:
        stream, self._stream = self._stream, None
        if stream is None:
            return
        heard: Transcript = await self._service.voices.listen(stream.finish)
        await self._socket.send_json(
            {"type": "heard", "text": heard.text, "confidence": round(heard.confidence, 3)}
        )
        confidence = heard.confidence if heard.text else 1.0
        outcome = await self._take(
            Utterance(self._token, self._message_id, heard.text, confidence, heard.engine, heard.others)
        )
        body = present_outcome(outcome, self._token)
        await self._socket.send_json({"type": "reply", **body})
        if outcome.reply and not self._socket.closed:
            self._service.domain.dispatch.shown(outcome.reply.id)
