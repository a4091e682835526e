"""Sounds and pictures that were sent up, by either side, for three days."""

import asyncio
import secrets
from dataclasses import dataclass

from aiohttp import web

from connectors.wechat.double.errors import Answer, Refused
from connectors.wechat.double.faults import Call
from connectors.wechat.double.rules import Rules
from connectors.wechat.double.sounds import seconds_of

_LASTS_S = 3 * 86400.0
_MOST = {"voice": 2 * 1024 * 1024, "image": 10 * 1024 * 1024, "thumb": 64 * 1024}
_MOST_S = 60.0
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM")
_NAMES = {"voice": ("amr", "audio/amr"), "image": ("jpg", "image/jpeg"), "speex": ("speex", "voice/speex")}


@dataclass
class Kept:
    """One of them. kind: `voice`, `image`, `thumb`, `video`."""

    until: float
    kind: str
    data: bytes


class Media:
    """Keeps them, and answers the calls about them."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._kept: dict[str, Kept] = {}
        self.uploads = 0
        self.calls: dict[str, Call] = {
            "media/upload": self._upload,
            "media/get": self._get,
            "media/get/jssdk": self._get_speex,
        }

    def put(self, kind: str, data: bytes) -> str:
        """Its id."""
        media_id = secrets.token_urlsafe(24)
        self._kept[media_id] = Kept(self._rules.clock() + _LASTS_S, kind, data)
        return media_id

    def get(self, media_id: str) -> bytes | None:
        """None where it is unknown or too old."""
        kept = self._kept.get(media_id)
        return kept.data if kept and kept.until > self._rules.clock() else None

    def sent(self, media_id: object, kind: str) -> bytes:
        """What a message of this kind brings with it; raises Refused."""
        kept = self._kept.get(str(media_id))
        if kept is None or kept.kind != kind or kept.until <= self._rules.clock():
            raise Refused(40007)
        return kept.data

    async def _upload(self, request: web.Request) -> Answer:
        kind = request.query.get("type", "")
        if kind not in _MOST:
            raise Refused(40004)
        data = await _sent_up(request)
        if len(data) > _MOST[kind]:
            raise Refused(45001)
        if kind == "voice":
            await _check_sound(data)
        elif not data.startswith(_PICTURES):
            raise Refused(40005)
        self.uploads += 1
        found = "thumb_media_id" if kind == "thumb" else "media_id"
        return {"type": kind, found: self.put(kind, data), "created_at": int(self._rules.clock())}

    async def _get(self, request: web.Request) -> Answer | web.Response:
        media_id = request.query.get("media_id", "")
        data = self.get(media_id)
        if data is None:
            raise Refused(40007)
        kind = self._kept[media_id].kind
        if kind == "video":
            return {"video_url": f"http://{request.host}/_double/video/{media_id}"}
        return _file(media_id, data, kind)

    async def _get_speex(self, request: web.Request) -> web.Response:
        """The better sound of what was recorded in a page, or of a voice message."""
        media_id = request.query.get("media_id", "")
        return _file(media_id, self.sent(media_id, "voice"), "speex")


def _file(media_id: str, data: bytes, kind: str) -> web.Response:
    ending, content_type = _NAMES.get(kind, ("bin", "application/octet-stream"))
    headers = {"Content-Disposition": f'attachment; filename="{media_id}.{ending}"'}
    return web.Response(body=data, content_type=content_type, headers=headers)


async def _sent_up(request: web.Request) -> bytes:
    if not request.content_type.startswith("multipart/"):
        raise Refused(41005)
    async for part in await request.multipart():
        if getattr(part, "name", "") == "media":
            data = bytes(await part.read())  # type: ignore[union-attr]  # a field, not a nested document
            if not data:
                raise Refused(44001)
            return data
    raise Refused(41005)


async def _check_sound(data: bytes) -> None:
    seconds = await asyncio.to_thread(seconds_of, data)
    if seconds is None:
        raise Refused(40005)
    if seconds > _MOST_S + 0.1:  # an encoder's padding is not held against it
        raise Refused(45007)
