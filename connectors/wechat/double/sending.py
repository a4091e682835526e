"""Messages of the account: customer service within its windows, templates, subscriptions."""

import re
import secrets
from collections.abc import Callable
from typing import Any

from aiohttp import web

from connectors.wechat.double.errors import OK, Answer, Refused, body_of, object_in
from connectors.wechat.double.faults import Call
from connectors.wechat.double.media import Media
from connectors.wechat.double.people import Reached, Villager, World

_MOST_TEXT = 2048
_MOST_OF = {
    "thing": 20, "number": 32, "letter": 32, "symbol": 5, "character_string": 32, "phone_number": 17, "car_number": 8,
    "name": 10, "phrase": 5, "const": 20,
}  # fmt: skip
"""Characters of a value of a subscription message, by its keyword's kind."""

Later = Callable[[Villager, str, dict[str, Any]], None]
"""Pushes an event when the call has been answered."""


class Sending:
    """The calls by which the account writes to a villager."""

    def __init__(self, world: World, media: Media, later: Later) -> None:
        self._world = world
        self._media = media
        self._later = later
        self._reads: dict[str, Callable[[Answer], Reached]] = {
            "text": self._text, "voice": self._voice, "image": self._image, "music": self._music, "news": self._news, "msgmenu": self._choices,
        }  # fmt: skip
        self.calls: dict[str, Call] = {
            "message/custom/send": self._custom,
            "message/custom/typing": self._typing,
            "message/template/send": self._template,
            "message/subscribe/bizsend": self._subscription,
        }

    # -- customer service ------------------------------------------------------------------------------------

    async def _custom(self, request: web.Request) -> Answer:
        self._check_verified()
        body = await body_of(request)
        villager, kind = self._world.known(body.get("touser")), str(body.get("msgtype"))
        if kind not in self._reads:
            raise Refused(40008)
        reached = self._reads[kind](object_in(body, kind))
        if fault := villager.may_be_sent(self._world.rules.clock()):
            raise Refused(fault)
        await self._world.reach(villager, reached)
        return OK

    def _reached(self, kind: str, text: str, media: bytes = b"", link: str = "") -> Reached:
        return Reached(self._world.rules.clock(), "custom", kind, text, media, link=link)

    def _text(self, content: Answer) -> Reached:
        words = str(content.get("content") or "")
        if not words:
            raise Refused(44004)
        if len(words.encode()) > _MOST_TEXT:
            raise Refused(45002)
        return self._reached("text", words)

    def _voice(self, content: Answer) -> Reached:
        return self._reached("voice", "", self._media.sent(content.get("media_id"), "voice"))

    def _image(self, content: Answer) -> Reached:
        return self._reached("image", "", self._media.sent(content.get("media_id"), "image"))

    def _music(self, content: Answer) -> Reached:
        self._media.sent(content.get("thumb_media_id"), "thumb")
        return self._reached(
            "music", str(content.get("title") or ""), link=str(content.get("musicurl") or "")
        )

    def _news(self, content: Answer) -> Reached:
        articles = content.get("articles")
        if not isinstance(articles, list) or not articles:
            raise Refused(44003)
        if len(articles) > 1:
            raise Refused(45008)
        (one,) = articles
        words = "\n".join(filter(None, (str(one.get("title") or ""), str(one.get("description") or ""))))
        return self._reached("news", words, link=str(one.get("url") or ""))

    def _choices(self, content: Answer) -> Reached:
        choices = [str(one.get("content") or "") for one in content.get("list") or []]
        if not choices:
            raise Refused(47001)
        lines = [str(content.get("head_content") or ""), *choices, str(content.get("tail_content") or "")]
        return self._reached("msgmenu", "\n".join(filter(None, lines)))

    async def _typing(self, request: web.Request) -> Answer:
        self._check_verified()
        body = await body_of(request)
        villager = self._world.known(body.get("touser"))
        if body.get("command") not in ("Typing", "CancelTyping"):
            raise Refused(45072)
        if not villager.wrote_within(30.0, self._world.rules.clock()):
            raise Refused(45080)
        return OK

    # -- templates and subscriptions -------------------------------------------------------------------------

    async def _template(self, request: web.Request) -> Answer:
        body, villager = await self._addressed(request)
        if not villager.follows:
            raise Refused(43004)
        words = _values(object_in(body, "data"), limited=False)
        await self._world.reach(villager, self._reached("template", words, link=str(body.get("url") or "")))
        number = secrets.randbelow(10**18)
        self._later(villager, "TEMPLATESENDJOBFINISH", {"MsgID": number, "Status": "success"})
        return {**OK, "msgid": number}

    async def _subscription(self, request: web.Request) -> Answer:
        body, villager = await self._addressed(request)
        words = _values(object_in(body, "data"), limited=True)
        if not villager.subscribed:
            raise Refused(43101)
        villager.subscribed -= 1
        if not villager.refuses:
            shown = self._reached("subscription", words, link=str(body.get("page") or ""))
            await self._world.reach(villager, shown)
        taken = not villager.refuses
        result = {
            "TemplateId": body["template_id"], "MsgID": secrets.randbelow(10**18),
            "ErrorCode": 0 if taken else 15, "ErrorStatus": "success" if taken else "failed: user block",
        }  # fmt: skip
        self._later(villager, "subscribe_msg_sent_event", {"SubscribeMsgSentEvent": {"List": result}})
        return OK

    async def _addressed(self, request: web.Request) -> tuple[Answer, Villager]:
        self._check_verified()
        body = await body_of(request)
        villager, template = self._world.known(body.get("touser")), body.get("template_id")
        if not template or (self._world.rules.templates and template not in self._world.rules.templates):
            raise Refused(40037)
        return body, villager

    def _check_verified(self) -> None:
        if not self._world.rules.verified:
            raise Refused(48001)


def _values(data: Answer, *, limited: bool) -> str:
    """What a template shows; raises Refused where a value is missing, or longer than its kind of keyword may be."""
    for name, part in data.items():
        value = str(part.get("value") or "") if isinstance(part, dict) else ""
        most = _MOST_OF.get(re.sub(r"\d+$", "", name), len(value))
        if not value or (limited and len(value) > most):
            raise Refused(47003, f"! data.{name}.value")
    return "；".join(str(part["value"]) for part in data.values())
