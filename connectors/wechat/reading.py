"""Each kind of message and event, and what it is answered with."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import structlog
from wechatpy.events import EVENT_TYPES

from connectors.errors import ConnectorError
from connectors.voices import Voices
from connectors.wechat.arrivals import MESSAGE_ID
from connectors.wechat.outcomes import MEDIA_GONE
from connectors.wechat.platform import PlatformError
from connectors.wechat.sounds import Sounds
from handoff.model.clock import Clock
from handoff.model.nouns import Opening, Utterance
from handoff.model.screening import Screening
from handoff.model.words import Channel, Risk
from handoff.service.addresses import set_gone
from handoff.service.dispatch import Dispatch
from handoff.service.talks import Talks
from handoff.service.turns import Turns
from handoff.store.database import Store
from handoff.store.tables import Address, Arrival
from voice.errors import VoiceError
from voice.recognise import Transcript

log = structlog.get_logger("connectors.wechat")

_PLATFORM_SURE = 0.7  # how far its own recognition is believed; it says nothing of that itself
_NOT_WORDS = {
    "image": ("（图片）", "got_picture"),
    "video": ("（视频）", "got_video"),
    "shortvideo": ("（视频）", "got_video"),
    "link": ("（链接）", "got_link"),
    "file": ("（文件）", "got_file"),
}
TAPS = {"human": "找人", "status": "我的事办得怎么样了"}
"""What a tap on the menu says."""
_SETTLED = "sent"
"""The `engine` of what is neither typed nor spoken."""


_HEARD_WITHIN = timedelta(minutes=1)


class Reading:
    """Turns a platform's messages into turns of the conversation with their sender."""

    def __init__(
        self, turns: Turns, voices: Voices, screen: Screening, sounds: Sounds, store: Store,
        dispatch: Dispatch, clock: Clock,
    ) -> None:  # fmt: skip
        self._turns = turns
        self._voices = voices
        self._screen = screen
        self._sounds = sounds
        self._store = store
        self._talks = Talks(store)
        self._dispatch = dispatch
        self._clock = clock

    async def take(self, arrival: Arrival) -> list[str]:
        """Do what the message asks for; the replies by id, in their order. May run twice for one message."""
        data = dict(arrival.message)
        kind = str(data.get("MsgType", "")).lower()
        async with self._store.read() as session:
            address = await session.get_one(Address, arrival.address_id)
        openid = str(address.value)
        if kind == "event":
            return await self._event(arrival, openid, data)
        if address.gone_at is not None:
            await self._set_gone(address.id, None)
        token = await self._turns.of_address(Opening(Channel.WECHAT, address=openid))
        utterance = await self._utterance(
            f"{MESSAGE_ID}{arrival.id}",
            token,
            kind,
            data,
            may_wait=self._clock.now() - arrival.received_at < _HEARD_WITHIN,
        )
        if isinstance(utterance, tuple):
            outcome = await self._turns.note(*utterance)
        else:
            outcome = await self._turns.take(utterance)
        return [outcome.reply.id] if outcome.reply else []

    def unkept_words(self, data: dict[str, Any]) -> str:
        """What its sender hears for whom nothing can be stored; what the platform has heard counts too."""
        return self._turns.unkept_words(str(data.get("Content") or data.get("Recognition") or ""))

    async def tidy(self) -> None:
        """Forget what is of no more use."""
        await self._sounds.tidy()

    async def _utterance(
        self, message_id: str, token: str, kind: str, data: dict[str, Any], *, may_wait: bool
    ) -> Utterance | tuple[Utterance, str]:
        """The words; or, where there are none, what to put on record and the phrase that answers it."""
        if kind == "text":
            return Utterance(token, message_id, str(data.get("Content") or ""))
        if kind == "voice":
            likely = await self._talks.likely_words(token)
            heard = await self._hear(data, likely, may_wait=may_wait)
            sure = heard.confidence if heard.text else 1.0
            return Utterance(token, message_id, heard.text, sure, heard.engine, heard.others)
        if kind == "location":
            where = f"（位置）{data.get('Label') or ''} {data.get('Location_X')},{data.get('Location_Y')}"
            return Utterance(token, message_id, where, engine=_SETTLED), "got_place"
        text, phrase = _NOT_WORDS.get(kind, ("（别的消息）", "got_other"))
        return Utterance(token, message_id, text, engine=_SETTLED), phrase

    async def _hear(self, data: dict[str, Any], likely: str, *, may_wait: bool) -> Transcript:
        """By our own recogniser; what the platform makes of it counts where ours fails, or where it is graver.

        may_wait: whether a sound that can't be had now is tried again; all that its sender says after it waits behind it.
        """
        theirs = str(data.get("Recognition") or "").strip()
        at_once = self._screen.screen(theirs).risk if theirs else Risk.ROUTINE
        if at_once.at_least(Risk.URGENT):
            # Ours takes seconds to fetch and to read, and could not make it less grave.
            return Transcript(theirs, _PLATFORM_SURE, "platform", 0.0, 0.0)
        ours = Transcript("", 1.0, "none", 0.0, 0.0)
        try:
            sound = await self._sounds.fetch(str(data.get("MediaId", "")))
            ours = await self._voices.hear(sound, expect=likely)
        except PlatformError as error:
            if error.failed.again and error.code != MEDIA_GONE and may_wait and not theirs:
                raise  # the sweep tries again
            log.warning("wechat.not_heard", code=error.code)
        except (VoiceError, ConnectorError) as error:
            log.warning("wechat.not_heard", code=error.code)
        if not theirs:
            return ours
        graver = at_once.rank > self._screen.screen(ours.text).risk.rank
        return Transcript(theirs, _PLATFORM_SURE, "platform", 0.0, 0.0) if graver or not ours.text else ours

    # -- events ----------------------------------------------------------------------------------------------

    async def _event(self, arrival: Arrival, openid: str, data: dict[str, Any]) -> list[str]:
        name = str(data.get("Event", "")).lower()
        key = str(data.get("EventKey") or "")
        does: dict[str, Callable[[Arrival, str, str], Awaitable[list[str]]]] = {
            "subscribe": self._follows, "subscribe_scan": self._follows, "unsubscribe": self._leaves, "scan": self._scans, "click": self._taps,
            "subscribe_msg_sent_event": self._hinted,
        }  # fmt: skip
        if name not in does:
            log.info("wechat.event", kind=name if name in EVENT_TYPES else "unknown")
            return []
        return await does[name](arrival, openid, key)

    async def _follows(self, arrival: Arrival, openid: str, key: str) -> list[str]:
        await self._set_gone(arrival.address_id, None)
        token = await self._turns.of_address(self._at_station(openid, key.removeprefix("qrscene_")))
        return await self._say(arrival, token, "greeting_wechat")

    async def _say(self, arrival: Arrival, token: str, phrase: str) -> list[str]:
        return [(await self._turns.say(token, phrase, once=f"{MESSAGE_ID}{arrival.id}")).id]

    async def _leaves(self, arrival: Arrival, openid: str, key: str) -> list[str]:
        await self._set_gone(arrival.address_id, self._clock.now())
        return []

    async def _scans(self, arrival: Arrival, openid: str, key: str) -> list[str]:
        token = await self._turns.of_address(self._at_station(openid, key))
        return await self._say(arrival, token, "scanned")

    async def _taps(self, arrival: Arrival, openid: str, key: str) -> list[str]:
        if key not in TAPS:
            return []
        token = await self._turns.of_address(Opening(Channel.WECHAT, address=openid))
        outcome = await self._turns.take(Utterance(token, f"{MESSAGE_ID}{arrival.id}", TAPS[key]))
        return [outcome.reply.id] if outcome.reply else []

    async def _hinted(self, arrival: Arrival, openid: str, key: str) -> list[str]:
        """What became of the subscription message: the platform takes it first, and says later that it was refused."""
        told = dict(arrival.message).get("SubscribeMsgSentEvent")
        listed = told.get("List") if isinstance(told, dict) else None
        outcomes = [
            one for one in (listed if isinstance(listed, list) else [listed]) if isinstance(one, dict)
        ]
        if any(str(one.get("ErrorCode") or "0") != "0" for one in outcomes):
            await self._dispatch.hint_failed(arrival.address_id)
        return []

    async def _set_gone(self, address_id: int, at: datetime | None) -> None:
        async with self._store.write() as session:
            await set_gone(session, address_id, at)

    @staticmethod
    def _at_station(openid: str, station: str) -> Opening:
        return Opening(Channel.WECHAT, address=openid, station=station or None)
