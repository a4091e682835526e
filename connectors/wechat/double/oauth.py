"""Web authorisation: somebody opens a page inside WeChat, and the page learns who they are. For workers in WeCom, too."""

import secrets
from urllib.parse import urlsplit

from aiohttp import web

from connectors.wechat.double.errors import Answer, Refused
from connectors.wechat.double.faults import Faults
from connectors.wechat.double.people import World

_CODE_LIVES_S = 300.0


class OAuth:
    """The page that leads back with a code, and the call that turns it into an openid."""

    def __init__(self, world: World, faults: Faults) -> None:
        self._world = world
        self._faults = faults
        self._until: dict[str, float] = {}
        self.present = ""
        """Openid of who looks, where no cookie `openid` says it."""
        self.present_worker = ""
        """The same in WeCom; cookie `worker`."""

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        app.router.add_get("/connect/oauth2/authorize", self._authorize)
        app.router.add_get("/sns/oauth2/access_token", self._exchange)

    def who_of(self, code: str) -> str:
        """Whose code it is, used now; raises Refused."""
        codes = self._world.codes
        if code not in codes:
            raise Refused(40029)
        if not codes[code]:
            raise Refused(40163)
        if self._until.get(code, 0.0) <= self._world.rules.clock():
            raise Refused(42003)
        who, codes[code] = codes[code], ""
        return who

    async def _authorize(self, request: web.Request) -> web.StreamResponse:
        """As if whom the cookie names had opened the page in WeChat."""
        rules, query = self._world.rules, request.query
        back = query.get("redirect_uri", "")
        if query.get("appid") not in (rules.app_id, rules.corp_id):
            return _says("10013", "APPID 不正确")
        if not back.startswith(("http://", "https://")) or not self._may_lead_to(back):
            return _says("10003", "redirect_uri 域名与后台配置不一致")
        if query.get("response_type") != "code":
            return _says("10004", "response_type 参数错误")
        if not self._may_ask(query.get("scope", "")):
            return _says("10005", "Scope 参数错误或没有 Scope 权限")
        who = self._who(request)
        if not who:
            return web.Response(status=403, text="请在微信客户端打开链接")
        code = secrets.token_hex(16)
        self._world.codes[code], self._until[code] = who, rules.clock() + _CODE_LIVES_S
        joint = "&" if "?" in back else "?"
        raise web.HTTPFound(f"{back}{joint}code={code}&state={query.get('state', '')}")

    def _who(self, request: web.Request) -> str:
        if request.query["appid"] == self._world.rules.corp_id:
            return request.cookies.get("worker", self.present_worker)
        who = request.cookies.get("openid", self.present)
        return who if who in self._world.villagers else ""

    def _may_lead_to(self, back: str) -> bool:
        allowed = self._world.rules.page_host
        return not allowed or urlsplit(back).hostname == allowed

    def _may_ask(self, scope: str) -> bool:
        return self._world.rules.verified and scope in (
            "snsapi_base",
            "snsapi_userinfo",
            "snsapi_privateinfo",
        )

    async def _exchange(self, request: web.Request) -> web.StreamResponse:
        async def work() -> Answer:
            rules, query = self._world.rules, request.query
            if query.get("appid") != rules.app_id:
                raise Refused(40013)
            if query.get("secret") != rules.secret:
                raise Refused(40125)
            return {
                "access_token": secrets.token_hex(32), "expires_in": 7200, "refresh_token": secrets.token_hex(32),
                "openid": self.who_of(query.get("code", "")), "scope": "snsapi_base",
            }  # fmt: skip

        return await self._faults.meet(request, "sns", work)


def _says(code: str, text: str) -> web.Response:
    return web.Response(status=400, text=f"{text}（{code}）")
