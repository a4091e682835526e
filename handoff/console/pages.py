"""The routes under /console. Everything works by forms and links; the script only makes it live."""

import hmac
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web
from jinja2 import Environment, FileSystemLoader

from handoff.console.access import COOKIE, Brake, Refused, check_csrf, place_within, set_cookie, signed_in
from handoff.console.live import live_line
from handoff.console.printed import print_card
from handoff.model.clock import Clock
from handoff.model.errors import HandoffError
from handoff.model.words import STAGE_ZH, Risk, Stage
from handoff.service.case_view import CaseView
from handoff.service.casework import Casework
from handoff.service.hub import CONSOLES, Event, Hub, of_worker
from handoff.service.questions import Questions
from handoff.service.queue import Queue
from handoff.service.queue_row import Row, ago, clock_time
from handoff.service.recordings import Recordings
from handoff.service.workers import AccountError, SignedIn, Workers

HERE = Path(__file__).parent
SIGN_IN_COOKIE = "xiangyin_sign_in"

Act = Callable[[int, int, dict[str, str]], Awaitable[Any]]


class Console:
    """The workers' console over the services of the domain."""

    def __init__(
        self,
        casework: Casework,
        queue: Queue,
        questions: Questions,
        workers: Workers,
        recordings: Recordings,
        hub: Hub,
        clock: Clock,
        *,
        card_link: str = "",
    ) -> None:
        """`card_link`: what a card's code leads to when a telephone reads it, the number put behind it."""
        self._card_link = card_link
        self._queue = queue
        self._questions = questions
        self._clock = clock
        self._workers = workers
        self._recordings = recordings
        self._hub = hub
        self._brake = Brake(clock)
        self._templates = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True)
        self._acts: dict[str, Act] = {
            "claim": lambda case, worker, _form: casework.claim(case, worker),
            "acknowledge": lambda case, worker, _form: casework.acknowledge(case, worker),
            "release": lambda case, worker, _form: casework.release(case, worker),
            "reply": lambda case, worker, form: casework.reply(case, worker, form.get("text", "")),
            "person": lambda case, worker, form: casework.name_person(case, worker, form.get("name", ""), form.get("called", ""), form.get("phone", "")),
            "card": lambda case, worker, _form: casework.make_card(case, worker),
            "cardvoid": lambda case, worker, _form: casework.void_card(case, worker),
            "remind": lambda case, worker, form: casework.remind(case, worker, form.get("text", ""), _local_time(form)),
            "uncall": lambda case, worker, form: casework.cancel_call(case, worker, int(form["call"])),
            "note": lambda case, worker, form: casework.note(case, worker, form.get("text", "")),
            "stage": lambda case, worker, form: casework.set_stage(case, worker, Stage(form["stage"]), form.get("reason", "")),
            "risk": lambda case, worker, form: casework.set_risk(case, worker, Risk(form["risk"]), form.get("reason", "")),
            "close": lambda case, worker, form: casework.close(case, worker, Stage.CLOSED, form.get("reason", ""), form.get("outcome", "")),
        }  # fmt: skip

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        app.router.add_get("/console", self._home)
        app.router.add_static("/console/static", HERE / "static")
        app.router.add_get("/console/sign-in", self._sign_in_page)
        app.router.add_post("/console/sign-in", self._sign_in)
        app.router.add_post("/console/sign-out", self._sign_out)
        app.router.add_get("/console/queue", self._queue_page)
        app.router.add_get("/console/events", self._events)
        app.router.add_get("/console/questions", self._questions_page)
        app.router.add_post(r"/console/questions/{question:\d{1,9}}/{act:answer|dismiss}", self._settle)
        app.router.add_post(r"/console/answers/{answer:\d{1,9}}/retire", self._retire)
        app.router.add_get(r"/console/cases/{case:\d{1,9}}", self._case_page)
        app.router.add_get(r"/console/cases/{case:\d{1,9}}/card", self._card_page)
        app.router.add_get(r"/console/cases/{case:\d{1,9}}/sounds/{turn:\d{1,9}}", self._sound)
        app.router.add_post(r"/console/cases/{case:\d{1,9}}/{act:[a-z]+}", self._act)

    async def _home(self, _request: web.Request) -> web.StreamResponse:
        raise web.HTTPSeeOther("/console/queue")

    # -- coming in and going out -----------------------------------------------------------------------

    async def _sign_in_page(self, request: web.Request, error: str | None = None) -> web.Response:
        # A double-submitted cookie: there is no session yet that could hold the token.
        csrf = request.cookies.get(SIGN_IN_COOKIE) or secrets.token_urlsafe(24)
        sent = (await _form(request)).get("next") if request.method == "POST" else request.query.get("next")
        wanted = place_within(sent or "")
        shown = {"error": error, "csrf": csrf, "next": wanted}
        response = self._show("sign_in.html", shown, status=401 if error else 200)
        set_cookie(request, response, SIGN_IN_COOKIE, csrf)
        return response

    async def _sign_in(self, request: web.Request) -> web.StreamResponse:
        form = await _form(request)
        name, address = form.get("name", "").strip(), f"at:{request.remote}"
        expected = request.cookies.get(SIGN_IN_COOKIE) or secrets.token_urlsafe(24)
        if not hmac.compare_digest(expected.encode(), form.get("csrf", "").encode()):
            return await self._sign_in_page(request, "页面过期了，请再试一次。")
        try:
            self._brake.tries(f"name:{name}", address)
            token = await self._workers.sign_in(name, form.get("password", ""))
        except (Refused, AccountError) as error:
            return await self._sign_in_page(request, error.message)
        self._brake.succeeded(f"name:{name}", address)
        response = web.HTTPSeeOther(place_within(form.get("next", "")) or "/console/queue")
        set_cookie(request, response, COOKIE, token)
        raise response

    async def _sign_out(self, request: web.Request) -> web.StreamResponse:
        who = await signed_in(request, self._workers)
        check_csrf(who, (await _form(request)).get("csrf"))
        await self._workers.sign_out(request.cookies[COOKIE])
        response = web.HTTPSeeOther("/console/sign-in")
        response.del_cookie(COOKIE, path="/console")
        raise response

    # -- looking ---------------------------------------------------------------------------------------

    async def _queue_page(self, request: web.Request) -> web.Response:
        who = await signed_in(request, self._workers)
        which = request.query.get("filter", "queue")
        which = which if which in ("queue", "mine", "closed") else "queue"
        fragment = request.query.get("fragment", "")
        if fragment == "alarm":
            return await self._page("_alarm.html", who, {})
        rows = [_row(row, who) for row in await self._queue.rows(which, who.worker_id)]
        shown = {"cases": rows, "filter": which}
        return (
            self._part("_queue.html", who, shown) if fragment else await self._page("queue.html", who, shown)
        )

    async def _case_page(self, request: web.Request, error: str | None = None) -> web.Response:
        who = await signed_in(request, self._workers)
        if who.role != "worker":
            return self._error("这一页只有社工能看", "志愿者看得到队列，看不到个案内容。", 403, who)
        try:
            view = await self._queue.case(int(request.match_info["case"]), who.worker_id)
        except HandoffError as missing:
            return self._error("没有找到", missing.message, 404, who)
        fragment = request.query.get("fragment", "")
        shown = _case(view, who, error)
        if fragment in ("conversation", "events", "head"):
            return self._part(f"_{fragment}.html", who, shown)
        return await self._page("case.html", who, shown, status=409 if error else 200)

    async def _card_page(self, request: web.Request) -> web.Response:
        """The station card, to be printed."""
        who = await signed_in(request, self._workers)
        try:
            card = await self._queue.card(int(request.match_info["case"]), who.worker_id)
        except HandoffError as refused:
            return self._error("没有卡", refused.message, 404, who)
        printed = print_card(card, self._card_link)
        shown = {"card": printed, "case_id": request.match_info["case"]}
        return await self._page("card.html", who, shown)

    async def _sound(self, request: web.Request) -> web.Response:
        """How one turn of a case sounded."""
        who = await signed_in(request, self._workers)
        case_id, turn_id = int(request.match_info["case"]), int(request.match_info["turn"])
        try:
            sound = await self._recordings.of_turn(case_id, turn_id, who.worker_id)
        except HandoffError as refused:
            return self._error("没有录音", refused.message, 404, who)
        return web.Response(body=sound, content_type="audio/mpeg", headers={"Cache-Control": "no-store"})

    async def _events(self, request: web.Request) -> web.StreamResponse:
        who = await signed_in(request, self._workers)
        return await live_line(request, self._hub, (CONSOLES, of_worker(who.worker_id)), _changed)

    async def _questions_page(
        self, request: web.Request, error: str | None = None, form: dict[str, str] | None = None
    ) -> web.Response:
        who = await signed_in(request, self._workers)
        try:
            waiting = await self._questions.waiting(who.worker_id)
        except HandoffError as refused:
            return self._error("这一页只有社工能看", refused.message, 403, who)
        now = self._clock.now()
        context = {
            "filter": "questions",
            "waiting": [asdict(one) | {"ago": ago(now - one.asked_at)} for one in waiting],
            "written": [
                asdict(one) | {"at": clock_time(one.created_at)} for one in await self._questions.written()
            ],
            "due": self._questions.due(),
            "told": told if (told := request.query.get("told", "")).isdecimal() else "",
            "error": error,
            "failed": request.match_info.get("question"),
            "form": form or {},
        }
        return await self._page("questions.html", who, context, status=409 if error else 200)

    # -- acting ----------------------------------------------------------------------------------------

    async def _act(self, request: web.Request) -> web.StreamResponse:
        who = await signed_in(request, self._workers)
        form = await _form(request)
        act = self._acts.get(request.match_info["act"])
        case_id = int(request.match_info["case"])
        if act is None:
            raise web.HTTPNotFound
        try:
            check_csrf(who, form.get("csrf"))
            await act(case_id, who.worker_id, form)
        except (KeyError, ValueError):
            return await self._case_page(request, "表单里的内容不对，请重新选择。")
        except HandoffError as error:
            return await self._case_page(request, error.message)
        if request.match_info["act"] == "acknowledge" and request.headers.get("Accept") == "application/json":
            return web.json_response({"ok": True})
        made = "/card" if request.match_info["act"] == "card" else ""
        raise web.HTTPSeeOther(f"/console/cases/{case_id}{made}")

    async def _settle(self, request: web.Request) -> web.StreamResponse:
        who = await signed_in(request, self._workers)
        form = await _form(request)
        question, told = int(request.match_info["question"]), "0"
        try:
            check_csrf(who, form.get("csrf"))
            if request.match_info["act"] == "dismiss":
                await self._questions.dismiss(question, who.worker_id)
            else:
                ask, text = form.get("ask", ""), form.get("text", "")
                told = str(await self._questions.answer(question, who.worker_id, ask, text))
        except HandoffError as error:
            return await self._questions_page(request, error.message, form)
        raise web.HTTPSeeOther(f"/console/questions?told={told}")

    async def _retire(self, request: web.Request) -> web.StreamResponse:
        who = await signed_in(request, self._workers)
        try:
            check_csrf(who, (await _form(request)).get("csrf"))
            await self._questions.retire(int(request.match_info["answer"]), who.worker_id)
        except HandoffError as error:
            return await self._questions_page(request, error.message)
        raise web.HTTPSeeOther("/console/questions")

    def _error(self, title: str, message: str, status: int, who: SignedIn | None = None) -> web.Response:
        return self._show(
            "error.html",
            {"title": title, "message": message, "worker": who, "csrf": who.csrf if who else ""},
            status=status,
        )

    async def _page(
        self, template: str, who: SignedIn, context: dict[str, Any], status: int = 200
    ) -> web.Response:
        """A page, or its alarm, for whom is signed in; the alarm is the workers'."""
        standing = await self._queue.standing()
        if who.role != "worker":
            standing = replace(standing, unheard=[])
        return self._part(template, who, {"standing": standing} | context, status)

    def _part(self, template: str, who: SignedIn, context: dict[str, Any], status: int = 200) -> web.Response:
        return self._show(template, {"worker": who, "csrf": who.csrf} | context, status)

    def _show(self, template: str, context: dict[str, Any], status: int = 200) -> web.Response:
        html = self._templates.get_template(template).render(context)
        return web.Response(text=html, content_type="text/html", status=status)


async def _form(request: web.Request) -> dict[str, str]:
    try:
        sent = await request.post()
    except (ValueError, LookupError, AssertionError) as error:
        raise Refused("bad_form", "表单读不懂，请刷新页面后再试。") from error
    return {key: value for key, value in sent.items() if isinstance(value, str)}


def _local_time(form: dict[str, str]) -> datetime:
    """Day and time as they are read from the county's clock; raises ValueError."""
    return datetime.strptime(f"{form['day']} {form['time'][:5]}", "%Y-%m-%d %H:%M").astimezone(UTC)


async def _changed(event: Event) -> tuple[str, Event]:
    return "changed", event


def _row(row: Row, who: SignedIn) -> dict[str, Any]:
    """A line of the queue; a volunteer sees that there is something to do, not what was said."""
    shown = asdict(row) | {"why": "、".join(row.why)}
    if who.role != "worker":
        shown |= {"why": "", "kinds_zh": [], "person": "", "needs_ack": False}
    return shown


def _case(view: CaseView, who: SignedIn, error: str | None) -> dict[str, Any]:
    is_open = Stage(view.row.stage).is_open
    mine = view.row.claimed_id == who.worker_id
    case = _row(view.row, who) | {
        "summary": view.summary,
        "consent_zh": view.consent_zh,
        "promised": view.promised,
        "kept_close": view.kept_close,
        "has_card": view.has_card,
        "calls": view.calls,
    }
    turns = [asdict(line) | {"from": line.from_} for line in view.lines]
    stages = [
        (stage.value, STAGE_ZH[stage])
        for stage in Stage
        if (stage.is_open or stage is Stage.REFERRED) and stage != view.row.stage
    ]
    can_claim = is_open and view.row.claimed_id is None
    return {
        "case": case,
        "turns": turns,
        "events": view.events,
        "told": view.told,
        "stages": stages,
        "mine": mine and is_open,
        "can_claim": can_claim,
        "error": error,
    }
