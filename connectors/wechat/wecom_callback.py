"""What WeCom calls when a worker taps a card: checked before it is read, put on record, answered at once."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from aiohttp import web
from wechatpy.enterprise.crypto import WeChatCrypto
from wechatpy.enterprise.events import register_event
from wechatpy.enterprise.exceptions import InvalidCorpIdException
from wechatpy.enterprise.parser import parse_message
from wechatpy.events import BaseEvent
from wechatpy.fields import StringField

from connectors.errors import ConnectorError
from connectors.settings import Settings
from connectors.wechat.envelope import MAX_BODY, STALE_S, Refused
from connectors.wechat.wecom import SEEN, notice_of
from handoff.model.clock import Clock
from handoff.service.casework import CaseworkError
from handoff.service.seen import Seen
from handoff.service.workers import WECOM_ID

log = structlog.get_logger("connectors.wechat")

_SEALED = re.compile(rb"<Encrypt>(?:<!\[CDATA\[)?([A-Za-z0-9+/=]+)(?:\]\]>)?</Encrypt>")
_INSTEAD = {"seen": "已有人看到", "ended": "已经结了", "outdated": "险情升了，看新的"}
"""What stands on the card after the tap, in place of its button."""
_NOT_TAKEN = "没有记下"
_NO_TALK = "这里只发提醒，收不了话。看到提醒请点卡片上的“我看到了”，或者打开工作台。"


@register_event("template_card_event")
class TapEvent(BaseEvent):  # type: ignore[misc]  # wechatpy has no types
    """A button of a card; wechatpy's own list is older than cards."""

    event = "template_card_event"
    key = StringField("EventKey", "")
    task_id = StringField("TaskId", "")


class WecomEnvelope:
    """Opens what WeCom sends to one application and closes the answers; always encrypted."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        """Raises ConnectorError bad_wecom where token or key can't be."""
        self._token, self._clock = settings.wecom_token, clock
        try:
            self._crypto = WeChatCrypto(self._token, settings.wecom_aes_key, settings.wecom_corp_id)
        except (ValueError, AssertionError) as error:
            raise ConnectorError(
                "bad_wecom", "XIANGYIN_WECOM_AES_KEY 不对：须是企业微信给的 43 个字符。"
            ) from error

    def check_time(self, query: Mapping[str, str]) -> None:
        """Raises Refused where it was signed long ago, or not now."""
        stamp = query.get("timestamp", "")
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
            raise Refused("no_timestamp")
        if abs(self._clock.now().timestamp() - int(stamp)) > STALE_S:
            raise Refused("stale")

    def echo(self, query: Mapping[str, str]) -> str:
        """The answer to WeCom's check of our address; raises Refused."""
        self.check_time(query)
        sealed = query.get("echostr", "")
        self._check_signature(query, sealed)
        return str(self._opened(lambda: self._crypto.check_signature(*_signed(query), sealed)))

    def open(self, query: Mapping[str, str], body: bytes) -> Any:
        """The message of a POST as wechatpy parses it; raises Refused."""
        self.check_time(query)
        sealed = {"Encrypt": _sealed_part(body)}
        self._check_signature(query, sealed["Encrypt"])
        message = self._opened(lambda: parse_message(self._crypto.decrypt_message(sealed, *_signed(query))))
        if message is None or not WECOM_ID.fullmatch(str(message.source)):
            raise Refused("malformed")
        return message

    def close(self, answer: str) -> str:
        """An answer as WeCom takes it."""
        now = str(int(self._clock.now().timestamp()))
        return str(self._crypto.encrypt_message(answer, secrets.token_hex(8), now))

    def _check_signature(self, query: Mapping[str, str], sealed: str) -> None:
        parts = sorted([self._token, query.get("timestamp", ""), query.get("nonce", ""), sealed])
        wanted = hashlib.sha1("".join(parts).encode("utf-8", "replace"), usedforsecurity=False).hexdigest()
        given = query.get("msg_signature", "")
        if not hmac.compare_digest(wanted.encode(), given.encode("utf-8", "replace")):
            raise Refused("bad_signature")

    @staticmethod
    def _opened(read: Callable[[], Any]) -> Any:
        try:
            return read()
        except InvalidCorpIdException:
            raise Refused("wrong_corp_id") from None
        except Exception:  # XML with entities, half a document, a cipher that does not open: all bare kinds
            raise Refused("malformed") from None


class WecomTaps:
    """The address /wecom: a tap on a card is a worker's word that they have seen it."""

    def __init__(self, settings: Settings, seen: Seen, clock: Clock) -> None:
        """Raises ConnectorError bad_wecom where a setting can't be."""
        self._corp_id = settings.wecom_corp_id
        self._envelope = WecomEnvelope(settings, clock)
        self._seen = seen
        self._clock = clock

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        app.router.add_get("/wecom", self._check)
        app.router.add_post("/wecom", self._receive)

    async def _check(self, request: web.Request) -> web.StreamResponse:
        try:
            return web.Response(text=self._envelope.echo(request.query))
        except Refused as refused:
            return _refuse(refused)

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        try:
            self._envelope.check_time(request.query)
            message = self._envelope.open(request.query, await _body(request))
        except Refused as refused:
            return _refuse(refused)
        who = str(message.source)
        if isinstance(message, TapEvent):
            instead = await self._tapped(message, who)
            return self._answer(who, "update_button", f"<Button>{_text('ReplaceName', instead)}</Button>")
        if message.type == "event" or "Event" in message._data:
            return web.Response()
        return self._answer(who, "text", _text("Content", _NO_TALK))

    async def _tapped(self, tap: TapEvent, who: str) -> str:
        """What stands on the card from now on. WeCom vouches for who it was, the task id for which notice."""
        notice = notice_of(str(tap.task_id)) if tap.key == SEEN else None
        try:
            if notice is None:
                raise CaseworkError("no_such_notice", "没有这条提醒。")
            outcome = await self._seen.by_wecom(notice, who)
        except CaseworkError as error:
            log.warning("wecom.tap_refused", notice=notice, code=error.code)
            return _NOT_TAKEN
        log.info("wecom.tap", notice=notice, outcome=outcome)
        return _INSTEAD[outcome]

    def _answer(self, to: str, kind: str, content: str) -> web.Response:
        head = _text("ToUserName", to) + _text("FromUserName", self._corp_id) + _text("MsgType", kind)
        time = f"<CreateTime>{int(self._clock.now().timestamp())}</CreateTime>"
        answer = self._envelope.close(f"<xml>{head}{time}{content}</xml>")
        return web.Response(text=answer, content_type="text/xml", charset="utf-8")


def _signed(query: Mapping[str, str]) -> tuple[str, str, str]:
    return query.get("msg_signature", ""), query.get("timestamp", ""), query.get("nonce", "")


def _sealed_part(body: bytes) -> str:
    """The encrypted part, found without parsing what nobody has signed yet."""
    found = _SEALED.findall(body)
    if len(found) != 1:
        raise Refused("malformed")
    return str(found[0].decode())


async def _body(request: web.Request) -> bytes:
    try:
        return await request.clone(client_max_size=MAX_BODY).read()
    except web.HTTPRequestEntityTooLarge:
        raise Refused("too_long") from None


def _text(name: str, value: str) -> str:
    """An element of words of our own or of checked letters: nothing in them ends a CDATA section."""
    return f"<{name}><![CDATA[{value}]]></{name}>"


def _refuse(refused: Refused) -> web.Response:
    log.warning("wecom.refused", code=refused.code)
    return web.Response(status=403)
