"""WeCom (企业微信): a worker is told of a case by a card with two buttons, plainer where cards are refused."""

import hmac
from typing import Any

import aiohttp
import structlog

from connectors.errors import ConnectorError
from connectors.settings import Settings
from connectors.wechat.outcomes import NO_ANSWER, TOKEN, Failed
from connectors.wechat.tokens import SharedToken
from handoff.model.clock import Clock
from handoff.model.words import RISK_ZH, Risk
from handoff.service.ways import ARRIVED, Told
from handoff.store.database import Store
from handoff.store.sealed import digest
from handoff.store.tables import Case, Notice, Village, Worker

log = structlog.get_logger("connectors.wechat")

SEEN = "seen"
"""The key of the button by which a worker says that they have seen it."""

# The total bounds an answer that drips, too; a worker's next way waits behind this.
_TIMEOUT = aiohttp.ClientTimeout(total=8, connect=4)

_TOKEN = Failed(TOKEN, True)
_TOO_MANY = Failed("too_many", True, "企业微信的调用次数超了，过一会儿才能再发。")
_NO_SUCH_USER = Failed(
    "no_such_user", False, "企业微信里没有这个账号，或者它不在应用的可见范围里：管理后台 → 应用管理 → 本应用 → 可见范围。"
)  # fmt: skip
_NO_LICENCE = Failed("no_licence", False, "这个成员没有接口许可，或者许可过期了：管理后台 → 应用管理 → 接口调用许可。")  # fmt: skip
_BAD_AGENT = Failed("bad_agent", False, "AgentId 和 Secret 不是同一个应用的，请核对 XIANGYIN_WECOM_AGENT_ID 和 _SECRET。")  # fmt: skip

OUTCOMES: dict[int, Failed] = {
    -1: Failed("busy", True),
    40014: _TOKEN, 41001: _TOKEN, 42001: _TOKEN,
    40001: Failed("bad_secret", False, "Secret 不对或已重置，请核对 XIANGYIN_WECOM_SECRET。"),
    40013: Failed("bad_corp_id", False, "企业 ID 不对，请核对 XIANGYIN_WECOM_CORP_ID。"),
    40056: _BAD_AGENT, 301002: _BAD_AGENT,
    45009: _TOO_MANY, 45011: _TOO_MANY, 45033: _TOO_MANY,
    48002: Failed("not_allowed", False, "应用没有这个接口的权限。"),
    60020: Failed("not_listed", False, "服务器的出口地址不在可信 IP 里：管理后台 → 应用管理 → 本应用 → 企业可信IP。"),
    81013: _NO_SUCH_USER, 60111: _NO_SUCH_USER, 46004: _NO_SUCH_USER, 40003: _NO_SUCH_USER,
}  # fmt: skip
"""What is not among them concerns the form of the message, as far as we can tell: a plainer one is tried."""


class WecomError(ConnectorError):
    """WeCom did not do what it was asked to."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed.code, failed.mend or "企业微信没有办成这件事。")
        self.failed = failed


class Wecom:
    """Calls of one application in WeCom. One for a process; made inside its loop."""

    def __init__(self, settings: Settings, store: Store, clock: Clock) -> None:
        self._settings = settings
        name = f"wecom:{settings.wecom_corp_id}:{settings.wecom_agent_id}"
        self._token = SharedToken(store, clock, name, self._fetch_token)
        self._http = aiohttp.ClientSession(timeout=_TIMEOUT, trust_env=True)

    async def close(self) -> None:
        """Call WeCom no more."""
        await self._http.close()

    async def token_works(self) -> None:
        """Raises ConnectorError where no token can be had now, whatever is kept of an earlier one; a good one stays good."""
        await self._fetch_token(None)

    async def send(self, to: str, message: dict[str, Any]) -> None:
        """One message to one member; a refused token is replaced once. Raises ConnectorError."""
        body = {"touser": to, "agentid": self._settings.wecom_agent_id, **message}
        for attempt in (1, 2):
            token = await self._token.get()
            answer = await self._ask("POST", "message/send", {"access_token": token}, body)
            failed = _failure(answer)
            if failed is None:
                return
            if failed.code != TOKEN or attempt == 2:
                raise WecomError(failed)
            await self._token.refused(token)

    async def _fetch_token(self, _refused: str | None) -> tuple[str, float]:
        asked = {"corpid": self._settings.wecom_corp_id, "corpsecret": self._settings.wecom_secret}
        answer = await self._ask("GET", "gettoken", asked)
        if failed := _failure(answer):
            raise WecomError(failed)
        try:
            return str(answer["access_token"]), float(answer["expires_in"])
        except (KeyError, TypeError, ValueError):
            raise WecomError(NO_ANSWER) from None

    async def _ask(
        self, method: str, call: str, query: dict[str, str], body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """The answer as it came; raises WecomError where there is none. Addresses hold secrets: no error carries one."""
        url = f"{self._settings.wecom_api}/cgi-bin/{call}"
        try:
            async with self._http.request(
                method, url, params=query, json=body, allow_redirects=False
            ) as response:
                answer = await response.json(content_type=None) if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, ValueError):
            raise WecomError(NO_ANSWER) from None
        if not isinstance(answer, dict) or not isinstance(answer.get("errcode"), int):
            raise WecomError(NO_ANSWER)
        return answer


class WecomWay:
    """Tells workers who have an account in WeCom."""

    def __init__(self, wecom: Wecom, store: Store, *, public_url: str, hears_taps: bool) -> None:
        """`hears_taps`: whether WeCom can call us; without that a button would do nothing."""
        self._wecom = wecom
        self._store = store
        self._public_url = public_url.rstrip("/")
        self._hears_taps = hears_taps

    async def alert(self, notice: Notice, case: Case, worker: Worker) -> Told:
        """Tell the worker of the case: risk, village, number, and where to look."""
        if worker.disabled_at is not None:
            return Told("disabled", again=False)
        if not worker.wecom_id:
            return Told("no_wecom_id", again=False)
        try:
            await self._send(worker.wecom_id, await self._forms(notice, case))
        except WecomError as error:
            note = log.warning if error.failed.again else log.error
            note("wecom.failed", notice=notice.id, worker=worker.id, code=error.code)
            return Told(error.code, again=error.failed.again)
        except ConnectorError as error:  # no token in all that time
            log.warning("wecom.failed", notice=notice.id, worker=worker.id, code=error.code)
            return Told(error.code)
        return ARRIVED

    async def _send(self, to: str, forms: list[dict[str, Any]]) -> None:
        for form in forms[:-1]:
            try:
                return await self._wecom.send(to, form)
            except WecomError as error:
                if not error.code.startswith("wecom_"):
                    raise
                log.warning("wecom.plainer", form=form["msgtype"], code=error.code)
        await self._wecom.send(to, forms[-1])

    async def _forms(self, notice: Notice, case: Case) -> list[dict[str, Any]]:
        """The message, the best form first."""
        async with self._store.read() as session:
            village = await session.get(Village, case.village_id) if case.village_id else None
        title = f"{RISK_ZH[Risk(case.risk)]} · {village.name if village else '村未登记'}"
        number = f"号码 {case.number}"
        link = f"{self._public_url}/console/cases/{case.id}" if self._public_url else ""
        forms: list[dict[str, Any]] = []
        if self._hears_taps:
            forms.append(_card(title, number, link, task_id(notice.id)))
        if link:
            card = {"title": title, "description": number, "url": link, "btntxt": "打开"}
            forms.append({"msgtype": "textcard", "textcard": card})
        text = f"{title}\n{number}" + (f"\n{link}" if link else "")
        return [*forms, {"msgtype": "text", "text": {"content": text}}]


def task_id(notice_id: int) -> str:
    """Names a notice to WeCom so that nobody can name another."""
    return f"{notice_id}-{digest(f'wecom notice {notice_id}')[:32]}"


def notice_of(named: str) -> int | None:
    """The notice that a task id of ours names; None for what we did not make."""
    number = named.partition("-")[0]
    if not (number.isascii() and number.isdigit() and len(number) <= 18):
        return None
    ours = hmac.compare_digest(task_id(int(number)).encode(), named.encode("utf-8", "replace"))
    return int(number) if ours else None


def _card(title: str, number: str, link: str, task: str) -> dict[str, Any]:
    buttons: list[dict[str, Any]] = [{"text": "我看到了", "style": 1, "type": 0, "key": SEEN}]
    if link:
        buttons.append({"text": "打开", "style": 3, "type": 1, "url": link})
    card: dict[str, Any] = {
        "card_type": "button_interaction",
        "source": {"desc": "乡音"},
        "main_title": {"title": title, "desc": number},
        "task_id": task,
        "button_list": buttons,
    }
    if link:
        card["card_action"] = {"type": 1, "url": link}
    return {"msgtype": "template_card", "template_card": card}


def _failure(answer: dict[str, Any]) -> Failed | None:
    """What an answer means; with one receiver, one who is left out was not told at all."""
    errcode = int(answer["errcode"])
    if errcode:
        return OUTCOMES.get(errcode, Failed(f"wecom_{errcode}", True))
    if answer.get("invaliduser"):
        return _NO_SUCH_USER
    return _NO_LICENCE if answer.get("unlicenseduser") else None
