"""The calls of WeCom: tokens, messages to workers, changed cards, who opened a page."""

import json
import re
import secrets
from typing import Any

from aiohttp import web

from connectors.wechat.double.corp import Card, Corp, link_of, words_of
from connectors.wechat.double.errors import OK, Answer, Refused, body_of, object_in
from connectors.wechat.double.faults import Call, Faults
from connectors.wechat.double.oauth import OAuth
from connectors.wechat.double.people import World

_LIVES_S = 7200.0
_CODE_LIVES_S = 72 * 3600.0
_TASK = re.compile(r"[0-9A-Za-z_\-@]{1,128}")


class CorpApi:
    """Routes of WeCom, under /cgi-bin beside the Official Account's, and under /wecom-api/cgi-bin alone."""

    def __init__(self, world: World, corp: Corp, oauth: OAuth) -> None:
        self._world = world
        self._rules = world.rules
        self._corp = corp
        self._oauth = oauth
        self._until: dict[str, float] = {}
        self._token = ""
        self._codes: dict[str, tuple[list[Card], float]] = {}
        self.faults = Faults(world.rules, "application/json")
        self._calls: dict[str, Call] = {
            "message/send": self._send,
            "message/update_template_card": self._update,
            "auth/getuserinfo": self._who,
            "getcallbackip": self._addresses,
        }

    @property
    def calls(self) -> list[tuple[str, int | str]]:
        """What was called, as `wecom/…`, and the errcode or fault it ended in."""
        return self.faults.calls

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        for root in ("/wecom-api/cgi-bin", "/cgi-bin"):
            app.router.add_get(f"{root}/gettoken", self._gettoken)
            app.router.add_post(f"{root}/message/send", self._call)
            app.router.add_post(f"{root}/message/update_template_card", self._call)
            app.router.add_get(f"{root}/auth/getuserinfo", self._call)
        app.router.add_get("/wecom-api/cgi-bin/getcallbackip", self._call)

    def invalidate(self) -> None:
        """No token given so far holds any more."""
        self._until.clear()
        self._token = ""

    async def _gettoken(self, request: web.Request) -> web.StreamResponse:
        async def work() -> Answer:
            if request.query.get("corpid") != self._rules.corp_id:
                raise Refused(40013)
            if request.query.get("corpsecret") != self._rules.corp_secret:
                raise Refused(40001)
            now = self._rules.clock()
            if self._until.get(self._token, 0.0) <= now:
                self._token = secrets.token_urlsafe(48)
                self._until[self._token] = now + min(_LIVES_S, self._rules.token_life_s)
            return {**OK, "access_token": self._token, "expires_in": int(self._until[self._token] - now)}

        return await self.faults.meet(request, "wecom/gettoken", work)

    async def _call(self, request: web.Request) -> web.StreamResponse:
        name = request.path.partition("/cgi-bin/")[2]

        async def work() -> Answer | web.Response:
            token = request.query.get("access_token", "")
            if token not in self._until:
                raise Refused(40014 if token else 41001)
            if self._until[token] <= self._rules.clock():
                raise Refused(42001)
            if not self._rules.corp_listed:
                raise Refused(60020)
            return await self._calls[name](request)

        return await self.faults.meet(request, f"wecom/{name}", work)

    async def _send(self, request: web.Request) -> Answer:
        body = await body_of(request)
        if self._rules.corp_agent_id and body.get("agentid") != self._rules.corp_agent_id:
            raise Refused(301002)
        kind = str(body.get("msgtype"))
        inner = _checked(kind, object_in(body, kind)) if kind in _KINDS else None
        if inner is None:
            raise Refused(40008)
        named = [one for one in str(body.get("touser") or "").split("|") if one]
        there = [one for one in named if self._is_member(one)]
        if not there:
            raise Refused(81013)
        cards = [self._card(worker, kind, inner, str(body.get("agentid"))) for worker in there]
        self._corp.cards += cards
        await self._world.tell()
        absent = {"invaliduser": "|".join(one for one in named if one not in there)}
        return {
            **OK,
            **(absent if absent["invaliduser"] else {}),
            "msgid": secrets.token_hex(16),
            **self._code_for(cards),
        }

    def _card(self, worker: str, kind: str, inner: Answer, agent: str) -> Card:
        keys = [str(one["key"]) for one in inner.get("button_list") or [] if one.get("type", 0) == 0]
        bare = words_of({name: value for name, value in inner.items() if name not in _BUTTONS})
        return Card(
            self._rules.clock(), worker, kind, words_of(inner), link_of(inner), str(inner.get("task_id") or ""),
            agent=agent, keys=keys, words=bare,
        )  # fmt: skip

    def _code_for(self, cards: list[Card]) -> Answer:
        """Only what has buttons can be changed."""
        if not cards[0].task:
            return {}
        code = secrets.token_urlsafe(32)
        self._codes[code] = (cards, self._rules.clock() + _CODE_LIVES_S)
        return {"response_code": code}

    def _is_member(self, name: str) -> bool:
        members = {one.lower() for one in self._rules.corp_members}
        return not members or name.lower() in members

    async def _update(self, request: web.Request) -> Answer:
        body = await body_of(request)
        code = str(body.get("response_code") or "")
        cards = [card for card in self._corp.cards if code and card.code == code]
        if not cards:
            cards, until = self._codes.pop(code, ([], 0.0))
            if until <= self._rules.clock():
                raise Refused(42014)
        told = body.get("userids")
        for card in cards:
            if told is None or card.worker in told:
                card.code, card.changed_to = "", _changed(body)
        await self._world.tell()
        return OK

    async def _who(self, request: web.Request) -> Answer:
        return {**OK, "userid": self._oauth.who_of(request.query.get("code", ""))}

    async def _addresses(self, _request: web.Request) -> Answer:
        return {**OK, "ip_list": ["127.0.0.1"]}


def _checked(kind: str, inner: Answer) -> Answer:
    """What a message must hold; raises Refused. What is too long is cut, as WeCom does."""
    if kind == "text":
        if not inner.get("content"):
            raise Refused(44004)
        return {"content": str(inner["content"]).encode()[:2048].decode(errors="ignore")}
    if kind == "textcard":
        if not all(inner.get(name) for name in ("title", "description", "url")):
            raise Refused(40058)
        return {**inner, "title": str(inner["title"])[:128], "description": str(inner["description"])[:512]}
    return _checked_card(inner)


def _checked_card(inner: Answer) -> Answer:
    buttons = inner.get("button_list")
    if inner.get("card_type") != "button_interaction" or not _TASK.fullmatch(str(inner.get("task_id") or "")):
        raise Refused(40058)
    if not isinstance(buttons, list) or not 1 <= len(buttons) <= 6 or not all(map(_is_button, buttons)):
        raise Refused(40058)
    if not (inner.get("main_title") or {}).get("title") and not inner.get("sub_title_text"):
        raise Refused(40058)
    return inner


def _is_button(button: Any) -> bool:
    """A text, and a key to be told of or an address to be led to."""
    if not isinstance(button, dict) or not button.get("text"):
        return False
    return bool(button.get("url") if button.get("type", 0) == 1 else button.get("key"))


def _changed(body: Answer) -> str:
    """What stands on the card now."""
    if button := body.get("button"):
        return str(button.get("replace_name") or "")
    return words_of(json.loads(json.dumps(body.get("template_card") or {})))


_KINDS = {"text", "textcard", "template_card"}
_BUTTONS = {"button_list", "btntxt"}
