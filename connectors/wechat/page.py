"""The station page inside WeChat: opened from the menu, for the one person whom the platform vouches for."""

import base64
import hashlib
import hmac
import re
import secrets
from html import escape
from urllib.parse import urlencode

import aiohttp
import structlog
from aiohttp import web
from cryptography.fernet import Fernet, InvalidToken

from connectors.pages import PAGES
from connectors.root import Service
from connectors.settings import Settings
from handoff.model.clock import Clock
from handoff.model.nouns import Opening
from handoff.model.words import Channel

log = structlog.get_logger("connectors.wechat")

_STATE, _SESSION = "xy-wechat-state", "xy-wechat-page"
_STATE_LASTS_S = 600
_SESSION_LASTS_S = 12 * 3600
_TIMEOUT_S = 6.0
_CODE_IS_BAD = (40029, 40163, 42003)  # invalid, used already, too old
_CARD = re.compile(r"\d{8}")
_PERSONAL = ("<body ", '<body data-mode="personal" ')


def card_link(settings: Settings) -> str:
    """What the code of a station card leads to, its number put behind it; empty where there is no page to lead to."""
    base = settings.public_url.rstrip("/")
    return f"{base}/wechat/page?card=" if base and settings.wechat_app_id else ""


class PlatformDown(Exception):  # noqa: N818  # a state, told in words to the person
    """The platform gave no openid, and it is not the code's fault."""


class WeChatPage:
    """Routes under /wechat/page. The cookie says who it is; no address that can be forwarded says anything."""

    def __init__(self, service: Service, clock: Clock) -> None:
        self._settings = service.settings
        self._domain = service.domain
        self._clock = clock
        key = hashlib.sha256(b"wechat page" + service.settings.key).digest()
        self._fernet = Fernet(base64.urlsafe_b64encode(key))

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        app.router.add_get("/wechat/page", self._page)
        app.router.add_get("/wechat/page/back", self._back)
        app.router.add_post("/wechat/page/conversation", self._conversation)

    async def _page(self, request: web.Request) -> web.StreamResponse:
        if self._opened(request, _SESSION, _SESSION_LASTS_S) is None:
            return self._to_authorise(request)
        html = (PAGES / "station.html").read_text("utf-8").replace(*_PERSONAL, 1)
        return web.Response(text=html, content_type="text/html")

    def _to_authorise(self, request: web.Request) -> web.StreamResponse:
        state = secrets.token_urlsafe(16)
        asked = {
            "appid": self._settings.wechat_app_id, "redirect_uri": f"{self._base(request)}/wechat/page/back",
            "response_type": "code", "scope": "snsapi_base", "state": state,
        }  # fmt: skip
        place = f"{self._settings.wechat_open}/connect/oauth2/authorize?{urlencode(asked)}#wechat_redirect"
        response = web.Response(status=302, headers={"Location": place})
        self._keep(response, request, _STATE, f"{state} {_card(request)}", _STATE_LASTS_S)
        return response

    async def _back(self, request: web.Request) -> web.StreamResponse:
        kept = self._opened(request, _STATE, _STATE_LASTS_S)
        wanted, _, card = kept.partition(" ") if kept else (None, "", "")
        state, code = request.query.get("state", ""), request.query.get("code", "")
        if wanted is None or not hmac.compare_digest(wanted.encode(), state.encode()):
            return self._say("page_again")
        if not code:
            return self._say("page_refused")
        try:
            openid = await self._openid(code)
        except PlatformDown:
            return self._say("page_down", status=503)
        if openid is None:
            return self._say("page_again")
        place = f"/wechat/page?card={card}" if card else "/wechat/page"
        response = web.Response(status=303, headers={"Location": place})
        response.del_cookie(_STATE, path="/wechat/page")
        self._keep(response, request, _SESSION, openid, _SESSION_LASTS_S)
        return response

    async def _openid(self, code: str) -> str | None:
        """Whose code it is; None where it is none or was used before. Raises PlatformDown."""
        asked = {
            "appid": self._settings.wechat_app_id, "secret": self._settings.wechat_secret,
            "code": code, "grant_type": "authorization_code",
        }  # fmt: skip
        place = f"{self._settings.wechat_api}/sns/oauth2/access_token"
        try:
            timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
            async with (
                aiohttp.ClientSession(timeout=timeout) as http,
                http.get(place, params=asked) as answer,
            ):
                answer.raise_for_status()
                found = await answer.json(content_type=None)
            if "openid" in found:
                return str(found["openid"])
            fault = int(found["errcode"])
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError) as error:
            log.warning("wechat.failed", call="authorise", code="no_answer")
            raise PlatformDown from error
        log.warning("wechat.failed", call="authorise", code=f"wechat_{fault}")
        if fault in _CODE_IS_BAD:
            return None
        raise PlatformDown

    async def _conversation(self, request: web.Request) -> web.StreamResponse:
        """The one conversation with this person, by chat and page alike, and how their last matter stands."""
        openid = self._opened(request, _SESSION, _SESSION_LASTS_S)
        if openid is None:
            return web.json_response(
                {"error": "not_signed_in", "say": self._domain.phrases["page_again"]}, status=401
            )
        turns = self._domain.turns
        token = await turns.of_address(Opening(Channel.WECHAT, address=openid))
        matter = await turns.last_matter(token)
        return web.json_response({"conversation": token, "reply": None, "matter": matter})

    # -- cookies -------------------------------------------------------------------------------------------

    def _base(self, request: web.Request) -> str:
        return self._settings.public_url.rstrip("/") or f"{request.scheme}://{request.host}"

    def _now(self) -> int:
        return int(self._clock.now().timestamp())

    def _keep(
        self, response: web.Response, request: web.Request, name: str, value: str, lasts_s: int
    ) -> None:
        """Sealed as well as signed: an openid is nobody else's business."""
        sealed = self._fernet.encrypt_at_time(f"{name}:{value}".encode(), self._now()).decode()
        secure = self._base(request).startswith("https://")
        response.set_cookie(
            name, sealed, max_age=lasts_s, path="/wechat/page", httponly=True, samesite="Lax", secure=secure
        )

    def _opened(self, request: web.Request, name: str, lasts_s: int) -> str | None:
        """What the cookie holds; None where it is none of ours, or too old."""
        try:
            sealed = request.cookies.get(name, "").encode()
            value = self._fernet.decrypt_at_time(sealed, lasts_s, self._now()).decode()
        except (InvalidToken, UnicodeError):
            return None
        return value.removeprefix(f"{name}:") if value.startswith(f"{name}:") else None

    def _say(self, phrase: str, *, status: int = 200) -> web.Response:
        """A plain page that says what to do."""
        words = escape(self._domain.phrases[phrase])
        return web.Response(
            text='<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
            '<title>乡音</title><link rel="stylesheet" href="/station/static/station.css"></head>'
            f'<body><main class="plain"><h1>乡音</h1><p>{words}</p></main></body></html>',
            content_type="text/html",
            status=status,
        )


def _card(request: web.Request) -> str:
    """The number of the station card whose code was read, to be taken along while it is asked who reads it."""
    number = request.query.get("card", "")
    return number if _CARD.fullmatch(number) and number.isascii() else ""
