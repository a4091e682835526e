"""The platform's error codes with their texts, and how a call says that it will not."""

import json
from typing import Any

from aiohttp import web

Answer = dict[str, Any]
OK: Answer = {"errcode": 0, "errmsg": "ok"}

TEXTS = {
    -1: "system error",
    40001: "invalid credential, access_token is invalid or not latest",
    40002: "invalid grant_type",
    40003: "invalid openid",
    40004: "invalid media type",
    40005: "invalid file type",
    40007: "invalid media_id",
    40008: "invalid message type",
    40009: "invalid image size",
    40013: "invalid appid",
    40014: "invalid access_token",
    40016: "invalid button size",
    40017: "invalid button type",
    40018: "invalid button name size",
    40019: "invalid button key size",
    40020: "invalid button url size",
    40023: "invalid sub button size",
    40024: "invalid sub button type",
    40025: "invalid sub button name size",
    40026: "invalid sub button key size",
    40027: "invalid sub button url size",
    40029: "invalid code",
    40037: "invalid template_id",
    40053: "invalid action info",
    40054: "invalid sub button url domain",
    40055: "invalid button url domain",
    40058: "invalid Request Parameter",
    40066: "invalid url",
    40125: "invalid appsecret",
    40163: "code been used",
    40164: "invalid ip, not in whitelist",
    41001: "access_token missing",
    41005: "media data missing",
    42001: "access_token expired",
    42003: "code expired",
    42014: "invalid response_code",
    43004: "require subscribe",
    44003: "empty news data",
    43101: "user refuse to accept the msg",
    44001: "empty media data",
    44004: "empty content",
    45001: "media size out of limit",
    45002: "content size out of limit",
    45007: "playtime out of limit",
    45008: "article size out of limit",
    45009: "reach max api daily quota limit",
    45011: "api minute-quota reach limit, must slower, retry next minute",
    45015: "response out of time limit or subscription is canceled",
    45047: "out of response count limit",
    45072: "command must be Typing or CancelTyping",
    45080: "no message with the user within 30 seconds",
    46003: "menu no exist",
    47001: "data format error",
    47003: "argument invalid",
    48001: "api unauthorized",
    48006: "forbid to clear quota because of reaching the limit",
    60020: "not allow to access from your ip",
    81013: "user & party & tag all invalid",
    301002: "not allow operate another agent with this accesstoken",
}


class Refused(Exception):
    """The call ends in this errcode."""

    def __init__(self, code: int, more: str = "") -> None:
        super().__init__(code)
        self.answer = error(code, more)


def error(code: int, more: str = "") -> Answer:
    """The answer that says so."""
    return {
        "errcode": code,
        "errmsg": f"{TEXTS.get(code, 'as was set')}{more} rid: 00000000-00000000-00000000",
    }


async def body_of(request: web.Request) -> Answer:
    """The JSON object that was sent; raises Refused."""
    try:
        found = json.loads(await request.text())
    except ValueError:
        raise Refused(47001) from None
    if not isinstance(found, dict):
        raise Refused(47001)
    return found


def object_in(body: Answer, name: str) -> Answer:
    """What stands under this name, as an object; raises Refused."""
    found = body.get(name)
    if not isinstance(found, dict):
        raise Refused(47001)
    return found
