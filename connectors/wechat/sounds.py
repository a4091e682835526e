"""Voice messages: what people send brought down and decoded, what we say sent up once and remembered."""

import asyncio
import io
from datetime import timedelta
from functools import partial
from typing import Any

import numpy as np
import requests
from sqlalchemy import delete

from connectors.voices import Voices
from connectors.wechat.outcomes import NO_ANSWER, Failed
from connectors.wechat.platform import Platform, PlatformError
from handoff.model.clock import Clock
from handoff.store.database import Store
from handoff.store.sealed import digest
from handoff.store.tables import Media
from voice.audio import Sound, to_mp3
from voice.speak import Speaker

MOST_S = 55.0
"""Seconds of one voice message; the platform takes 60."""
MOST_BYTES = 2 * 1024 * 1024
_KEPT = timedelta(days=2, hours=12)  # the platform keeps a sound for three days
_FIRST, _MOST = 30, 180
"""Characters of the first voice message, which is rendered while the person waits, and of each further one, which at the
slowest pace stays under a minute; a sentence that is longer alone is cut by the seconds."""


class Sounds:
    """Fetches and sends up sounds of one account."""

    def __init__(self, platform: Platform, voices: Voices, store: Store, clock: Clock) -> None:
        self._platform = platform
        self._voices = voices
        self._store = store
        self._clock = clock

    async def fetch(self, media_id: str) -> bytes:
        """A voice message as it was sent (AMR); raises PlatformError."""
        answer = await self._platform.call("fetch", lambda client: client.media.download(media_id))
        if not isinstance(answer, requests.Response) or not answer.content:
            raise PlatformError(NO_ANSWER)
        if len(answer.content) > MOST_BYTES:
            raise PlatformError(Failed("too_long", False))
        return bytes(answer.content)

    async def media_id(self, words: str, *, speed: float, volume: float) -> str:
        """The id of these words as a voice message, sent up now if they are not there; PlatformError, VoiceError."""
        key = digest(f"{speed:.2f}|{volume:.2f}|{words}")
        async with self._store.read() as session:
            kept = await session.get(Media, key)
        if kept is not None and kept.expires_at > self._clock.now():
            return str(kept.media_id)
        data = await asyncio.to_thread(to_mp3, await self._spoken(words, speed, volume))
        answer = await self._platform.call("upload", partial(_upload, data=data))
        found = str(answer["media_id"])
        async with self._store.write() as session:
            await session.merge(Media(digest=key, media_id=found, expires_at=self._clock.now() + _KEPT))
        return found

    async def forget(self, words: str, *, speed: float, volume: float) -> None:
        """The platform no longer has it."""
        async with self._store.write() as session:
            kept = await session.get(Media, digest(f"{speed:.2f}|{volume:.2f}|{words}"))
            if kept is not None:
                await session.delete(kept)

    async def tidy(self) -> None:
        """Forget what the platform no longer keeps."""
        async with self._store.write() as session:
            await session.execute(delete(Media).where(Media.expires_at <= self._clock.now()))

    async def _spoken(self, words: str, speed: float, volume: float) -> Sound:
        sounds = [await self._voices.say(one, speed=speed, volume=volume) for one in Speaker.sentences(words)]
        rate = sounds[0].rate
        pause = np.zeros(int(0.25 * rate), np.float32)
        joined = np.concatenate([part for sound in sounds for part in (sound.at(rate).samples, pause)])
        return Sound(joined[: int(MOST_S * rate)], rate)


def voice_parts(text: str, *, awaited: bool = True) -> list[str]:
    """The words of a reply in pieces that each fit one voice message; `awaited`: with a first one that is soon rendered."""
    parts, first = [""], _FIRST if awaited else _MOST
    for sentence in Speaker.sentences(text):
        if parts[-1] and len(parts[-1]) + len(sentence) > (first if len(parts) == 1 else _MOST):
            parts.append("")
        parts[-1] += sentence
    return [part for part in parts if part]


def _upload(client: Any, data: bytes) -> Any:
    return client.media.upload("voice", ("answer.mp3", io.BytesIO(data), "audio/mpeg"))
