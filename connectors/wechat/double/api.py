"""The calls that the connector makes: the platform's paths, parameters, limits and error codes."""

from aiohttp import web

from connectors.wechat.double.errors import OK, Answer, Refused, body_of, object_in
from connectors.wechat.double.faults import Call, Faults
from connectors.wechat.double.media import Media
from connectors.wechat.double.menus import Menus
from connectors.wechat.double.people import World
from connectors.wechat.double.sending import Later, Sending
from connectors.wechat.double.tokens import Tokens

_CLEARED_A_MONTH = 10


class Api:
    """Routes under /cgi-bin of the Official Account."""

    def __init__(self, world: World, media: Media, later: Later) -> None:
        self._world = world
        self._rules = world.rules
        self._cleared: list[float] = []
        self.tokens = Tokens(world.rules)
        self.faults = Faults(world.rules)
        self.menus = Menus(world.rules)
        self._calls: dict[str, Call] = {
            **Sending(world, media, later).calls,
            **media.calls,
            **self.menus.calls,
            "qrcode/create": self._qrcode,
            "user/info": self._user,
            "getcallbackip": self._addresses,
            "get_api_domain_ip": self._addresses,
            "clear_quota": self._clear_quota,
        }

    @property
    def calls(self) -> list[tuple[str, int | str]]:
        """What was called, and the errcode or fault it ended in; no tokens."""
        return self.faults.calls

    @property
    def menu(self) -> Answer | None:
        """What is published."""
        return self.menus.published

    @property
    def codes(self) -> dict[str, str]:
        """Openid by the code of a web authorisation; empty once it was used."""
        return self._world.codes

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        app.router.add_post("/cgi-bin/stable_token", self._stable_token)
        app.router.add_get("/cgi-bin/token", self._classic_token)
        app.router.add_route("*", "/cgi-bin/{name:.+}", self._call)

    # -- tokens ----------------------------------------------------------------------------------------------

    async def _stable_token(self, request: web.Request) -> web.StreamResponse:
        async def work() -> Answer:
            asked = await body_of(request)
            self._check_account(asked.get("grant_type"), asked.get("appid"), asked.get("secret"))
            return self.tokens.stable(force=asked.get("force_refresh") is True)

        return await self.faults.meet(request, "token", work)

    async def _classic_token(self, request: web.Request) -> web.StreamResponse:
        async def work() -> Answer:
            asked = request.query
            self._check_account(asked.get("grant_type"), asked.get("appid"), asked.get("secret"))
            return self.tokens.classic()

        return await self.faults.meet(request, "classic_token", work)

    def _check_account(self, grant_type: object, app_id: object, secret: object) -> None:
        if grant_type != "client_credential":
            raise Refused(40002)
        if app_id != self._rules.app_id:
            raise Refused(40013)
        if secret != self._rules.secret:
            raise Refused(40125)
        if not self._rules.listed:
            raise Refused(40164)

    # -- the rest --------------------------------------------------------------------------------------------

    async def _call(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]

        async def work() -> Answer | web.Response:
            if name not in self._calls:
                raise Refused(40066)
            if fault := self.tokens.fault_of(request.query.get("access_token", "")):
                raise Refused(fault)
            return await self._calls[name](request)

        return await self.faults.meet(request, name, work)

    async def _qrcode(self, request: web.Request) -> Answer:
        self._check_verified()
        body = await body_of(request)
        scene = object_in(object_in(body, "action_info"), "scene")
        code = str(scene.get("scene_str") or scene.get("scene_id") or "")
        lasting = str(body.get("action_name")).startswith("QR_LIMIT_")
        if body.get("action_name") not in _CODES or not 1 <= len(code) <= 64:
            raise Refused(40053)
        lasts = {} if lasting else {"expire_seconds": int(body.get("expire_seconds") or 60)}
        return {"ticket": code, **lasts, "url": f"http://weixin.qq.com/q/{code}"}

    async def _user(self, request: web.Request) -> Answer:
        self._check_verified()
        villager = self._world.known(request.query.get("openid"))
        if not villager.follows:
            return {"subscribe": 0, "openid": villager.openid}
        return {
            "subscribe": 1, "openid": villager.openid, "language": "zh_CN", "remark": "", "groupid": 0, "tagid_list": [],
            "subscribe_scene": "ADD_SCENE_QR_CODE" if villager.scene else "ADD_SCENE_SEARCH", "qr_scene": 0,
            "qr_scene_str": villager.scene,
        }  # fmt: skip

    async def _addresses(self, _request: web.Request) -> Answer:
        return {"ip_list": ["127.0.0.1"]}

    async def _clear_quota(self, request: web.Request) -> Answer:
        if (await body_of(request)).get("appid") != self._rules.app_id:
            raise Refused(40013)
        now = self._rules.clock()
        self._cleared = [at for at in self._cleared if now - at < 30 * 86400]
        if len(self._cleared) >= _CLEARED_A_MONTH:
            raise Refused(48006)
        self._cleared.append(now)
        self.faults.clear()
        return OK

    def _check_verified(self) -> None:
        if not self._rules.verified:
            raise Refused(48001)


_CODES = {"QR_SCENE", "QR_STR_SCENE", "QR_LIMIT_SCENE", "QR_LIMIT_STR_SCENE"}
