"""The double driven by another process: JSON under /_double for what a test may do with the object."""

import base64
from collections.abc import Callable
from typing import Any

from aiohttp import web

from connectors.wechat.double import Double
from connectors.wechat.double.people import Reached
from connectors.wechat.double.rules import Rules

_NOT_SET = {
    "clock",
    "dice",
    "next",
    "secret",
    "token",
    "aes_key",
    "corp_secret",
    "corp_token",
    "corp_aes_key",
}
_LONGEST_S = 60.0


class Control:
    """Routes over a double."""

    def __init__(self, double: Double) -> None:
        self._double = double

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        app.router.add_get("/_double/rules", self._rules)
        app.router.add_post("/_double/rules", self._set_rules)
        app.router.add_post("/_double/next", self._next)
        app.router.add_post("/_double/forward", self._forward)
        app.router.add_post("/_double/invalidate", self._invalidate)
        app.router.add_get("/_double/calls", self._calls)
        app.router.add_get("/_double/reached", self._reached)
        app.router.add_get("/_double/cards", self._cards)
        app.router.add_post("/_double/sound", self._sound)
        app.router.add_post("/_double/event", self._event)
        app.router.add_post("/_double/agree", self._agree)
        app.router.add_post("/_double/verify", self._verify)

    # -- how it behaves --------------------------------------------------------------------------------------

    async def _rules(self, _request: web.Request) -> web.StreamResponse:
        """What may be set, and what it is; no secrets."""
        return web.json_response(
            {name: sorted(now) if isinstance(now, set) else now for name, now in _settable(self._double.rules).items()}
        )  # fmt: skip

    async def _set_rules(self, request: web.Request) -> web.StreamResponse:
        """`{"errors": 0.05, "mode": "plain", …}`; all of it or nothing."""
        body: dict[str, Any] = await request.json()
        now = _settable(self._double.rules)
        wrong = [name for name, value in body.items() if name not in now or not _fits(now[name], value)]
        if wrong:
            return web.json_response({"error": f"unknown or of the wrong kind: {sorted(wrong)}"}, status=400)
        for name, value in body.items():
            setattr(self._double.rules, name, set(value) if isinstance(now[name], set) else value)
        return _done()

    async def _next(self, request: web.Request) -> web.StreamResponse:
        """`{"message/custom/send": ["500", 40001], …}`: what the next times of a call end in; [] for nothing."""
        for name, faults in (await request.json()).items():
            self._double.rules.next[name] = [*faults]
        return _done()

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        """`{"seconds": 3600}`: the double's clock is put forward."""
        before, seconds = self._double.rules.clock, float((await request.json())["seconds"])
        self._double.rules.clock = lambda: before() + seconds
        return web.json_response({"now": self._double.rules.clock()})

    async def _invalidate(self, _request: web.Request) -> web.StreamResponse:
        """All tokens end, as if another program had taken new ones by force."""
        self._double.api.tokens.invalidate()
        self._double.corp_api.invalidate()
        return _done()

    # -- what has happened -----------------------------------------------------------------------------------

    async def _calls(self, _request: web.Request) -> web.StreamResponse:
        """Every call and how it ended, of both platforms, and every try to push."""
        double = self._double
        return web.json_response({
            "wechat": double.api.calls, "wecom": double.corp_api.calls, "tokens": double.api.tokens.given,
            "tries": double.pushing.tries, "taps": double.corp.taps,
        })  # fmt: skip

    async def _reached(self, request: web.Request) -> web.StreamResponse:
        """What has reached `openid` after the first `after`; with `within_s`, waits for something to."""
        villager = self._double.villager(request.query["openid"])
        after = int(request.query.get("after", "0"))
        await self._await(request, lambda: len(villager.reached) > after)
        return web.json_response([_shown(one) for one in villager.reached[after:]])

    async def _cards(self, request: web.Request) -> web.StreamResponse:
        """What `worker` has got in WeCom after the first `after`; with `within_s`, waits for something to."""
        corp, worker = self._double.corp, request.query["worker"]
        after = int(request.query.get("after", "0"))
        await self._await(request, lambda: len(corp.of(worker)) > after)
        theirs = [(n, card) for n, card in enumerate(corp.cards) if card.worker.lower() == worker.lower()]
        return web.json_response([
            {"n": n, "at": card.at, "kind": card.kind, "text": card.text, "link": card.link, "task": card.task, "changed_to": card.changed_to}
            for n, card in theirs[after:]
        ])  # fmt: skip

    async def _await(self, request: web.Request, holds: Callable[[], bool]) -> None:
        within_s = min(_LONGEST_S, float(request.query.get("within_s", "0")))
        if within_s > 0 and not holds():
            try:
                await self._double.until(holds, within_s)
            except TimeoutError:
                return  # it is told what there is: nothing

    # -- what villagers do, beyond what the page can ---------------------------------------------------------

    async def _sound(self, request: web.Request) -> web.StreamResponse:
        """`{"openid", "sound", "form", "recognition", "sound_16k"}`: a voice message as it is, sounds in base64."""
        body = await request.json()
        await self._double.speaks(
            str(body["openid"]), base64.b64decode(body["sound"]), str(body.get("form", "amr")), body.get("recognition"),
            base64.b64decode(body.get("sound_16k", "")),
        )  # fmt: skip
        return _done()

    async def _event(self, request: web.Request) -> web.StreamResponse:
        """`{"openid", "name", "fields"}`: any event; fields that are missing are as they usually are."""
        body = await request.json()
        await self._double.event(str(body["openid"]), str(body["name"]), **body.get("fields", {}))
        return _done()

    async def _agree(self, request: web.Request) -> web.StreamResponse:
        """`{"openid", "times"}`: they agree to so many subscription messages."""
        body = await request.json()
        self._double.villager(str(body["openid"])).subscribed = int(body["times"])
        return _done()

    async def _verify(self, _request: web.Request) -> web.StreamResponse:
        """Whether the addresses answer as they must when they are entered in the platforms' consoles."""
        return web.json_response(
            {"wechat": await self._double.pushing.verify(), "wecom": await self._double.corp.verify()}
        )


def _settable(rules: Rules) -> dict[str, Any]:
    return {name: now for name, now in vars(rules).items() if name not in _NOT_SET}


def _fits(now: Any, value: Any) -> bool:
    """Whether a value from JSON may take the place of this one."""
    if isinstance(now, set):
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    if isinstance(now, bool) or isinstance(value, bool):
        return isinstance(now, bool) and isinstance(value, bool)
    return isinstance(value, (int, float) if isinstance(now, float) else type(now))


def _shown(one: Reached) -> dict[str, Any]:
    return {
        "at": one.at, "how": one.how, "kind": one.kind, "text": one.text, "link": one.link, "answers": one.answers,
        "media": base64.b64encode(one.media).decode(),
    }  # fmt: skip


def _done() -> web.Response:
    return web.json_response({"ok": True})
