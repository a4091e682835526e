"""The Official Account's platform, called through wechatpy: off the loop, with the shared token, never endlessly."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import requests
import structlog
from wechatpy import WeChatClient
from wechatpy.exceptions import WeChatClientException

from connectors.errors import ConnectorError
from connectors.settings import Settings
from connectors.wechat.outcomes import NO_ANSWER, TOKEN, Failed, outcome_of
from connectors.wechat.tokens import SharedToken
from handoff.model.clock import Clock
from handoff.store.database import Store

log = structlog.get_logger("connectors.wechat")

T = TypeVar("T")

_TIMEOUT = (4.0, 12.0)  # seconds to connect, and to wait for the answer
_AT_ONCE = 6


class PlatformError(ConnectorError):
    """The platform did not do what it was asked to."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed.code, failed.mend or "微信平台没有办成这件事。")
        self.failed = failed


class Client(WeChatClient):  # type: ignore[misc]  # wechatpy has no types
    """wechatpy's client, given its token from outside: its own handling knows one process and retries without end."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.wechat_app_id, settings.wechat_secret, timeout=_TIMEOUT, auto_retry=False)
        self.API_BASE_URL = f"{settings.wechat_api}/cgi-bin/"
        self.token = ""

    @property
    def access_token(self) -> str:
        """What was given last."""
        return self.token


class Platform:
    """Calls of one account. One for a process."""

    def __init__(self, settings: Settings, store: Store, clock: Clock) -> None:
        self._settings = settings
        self._pool = ThreadPoolExecutor(_AT_ONCE, "wechat")
        self._of_thread = threading.local()
        self._token = SharedToken(store, clock, f"wechat:{settings.wechat_app_id}", self._fetch_token)

    def close(self) -> None:
        """Call no more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def call(
        self, name: str, work: Callable[[WeChatClient], Any], done: Callable[[], None] = lambda: None
    ) -> Any:
        """Run `work` with a client of wechatpy; a refused token is replaced once. Raises PlatformError.

        name: what the log says: `send`, `upload` …; done: called as soon as the platform has said yes, in the thread that
        heard it, since the loop may be busy for a while.
        """
        for attempt in (1, 2):
            token = await self._token.get()
            try:
                return await self._off_loop(partial(self._with, token, work, done))
            except PlatformError as error:
                if error.code == TOKEN and attempt == 1:
                    await self._token.refused(token)
                    continue
                log.warning("wechat.failed", call=name, code=error.code)
                raise
        raise AssertionError("unreachable")

    async def token_works(self) -> None:
        """Raises PlatformError where no token can be had now, whatever is kept of an earlier one; a good one stays good."""
        await self._off_loop(partial(self._ask_token, force=False))

    def _with(self, token: str, work: Callable[[WeChatClient], Any], done: Callable[[], None]) -> Any:
        if not hasattr(self._of_thread, "client"):
            self._of_thread.client = Client(self._settings)
        client: Client = self._of_thread.client
        client.token = token
        try:
            result = work(client)
        except WeChatClientException as error:
            # Its text may hold what was sent: nothing of it goes on.
            raise PlatformError(outcome_of(error.errcode)) from None
        except (requests.RequestException, ValueError) as error:
            raise PlatformError(NO_ANSWER) from error
        if isinstance(result, requests.Response) and not _is_media(result):
            raise PlatformError(NO_ANSWER)
        done()
        return result

    async def _fetch_token(self, refused: str | None) -> tuple[str, float]:
        token, life = await self._off_loop(partial(self._ask_token, force=False))
        if token != refused:
            return token, life
        try:
            return await self._off_loop(partial(self._ask_token, force=True))
        except PlatformError as error:
            # By force only so often; perhaps this one is good after all.
            log.warning("wechat.failed", call="force", code=error.code)
            return token, life

    def _ask_token(self, *, force: bool) -> tuple[str, float]:
        asked: dict[str, Any] = {
            "grant_type": "client_credential", "appid": self._settings.wechat_app_id,
            "secret": self._settings.wechat_secret, "force_refresh": force,
        }  # fmt: skip
        try:
            answer = requests.post(
                f"{self._settings.wechat_api}/cgi-bin/stable_token", json=asked, timeout=_TIMEOUT
            )
            answer.raise_for_status()
            found = answer.json()
            if "access_token" not in found:
                raise PlatformError(outcome_of(int(found["errcode"])))
            return str(found["access_token"]), float(found["expires_in"])
        except (requests.RequestException, ValueError, KeyError, TypeError) as error:
            raise PlatformError(NO_ANSWER) from error

    async def _off_loop(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)


def _is_media(answer: requests.Response) -> bool:
    """Sounds come back as they are; an answer that should have been JSON and is not is no answer."""
    kind = answer.headers.get("Content-Type", "")
    return not kind.startswith(("application/json", "text/"))
