"""The service as one process: pages, console and gateway on one port, until it is told to stop."""

import asyncio
import os
import signal
import socket
import ssl
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from aiohttp import web

from connectors.errors import ConnectorError
from connectors.gateway import Gateway
from connectors.root import Service, service
from connectors.seed import seed
from connectors.settings import Settings
from connectors.station import StationPage
from connectors.web import MAX_BODY, add_headers, plain_errors
from connectors.wechat.page import WeChatPage, card_link
from handoff.console.pages import Console
from handoff.model.clock import Clock

if TYPE_CHECKING:
    from connectors.audio_socket import AudioSocket
    from connectors.switchboard import Switchboard
    from connectors.telephone import Telephone


def build_app(parts: Service, clock: Clock | None = None) -> web.Application:
    """All routes over one service."""
    app = web.Application(middlewares=[plain_errors], client_max_size=MAX_BODY)
    app.on_response_prepare.append(add_headers)
    domain = parts.domain
    StationPage(parts).add_to(app)
    console = Console(
        domain.casework, domain.queue, domain.questions, domain.workers, domain.recordings, domain.hub, clock or Clock(),
        card_link=card_link(parts.settings),
    )  # fmt: skip
    console.add_to(app)
    Gateway(parts).add_to(app)
    if parts.inbox is not None:
        parts.inbox.add_to(app)
    if parts.settings.wechat_app_id:
        WeChatPage(parts, clock or Clock()).add_to(app)
    if parts.taps is not None:
        parts.taps.add_to(app)
    app.router.add_get("/", _to_station)

    async def on_shutdown(_app: web.Application) -> None:
        domain.hub.close()

    app.on_shutdown.append(on_shutdown)
    return app


async def _to_station(_request: web.Request) -> web.StreamResponse:
    raise web.HTTPSeeOther("/station")


async def serve(settings: Settings, say: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; raises ConnectorError for what the operator must mend."""
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    if settings.ends_with_stdin:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    door = _bind(settings)
    async with service(settings, say) as parts:
        lines = Lines(parts, say)
        runner = web.AppRunner(build_app(parts), access_log=None, shutdown_timeout=3)
        await runner.setup()
        try:
            await web.SockSite(runner, door, ssl_context=_tls(settings)).start()
            await seed(parts.domain, say)
            await lines.open()
            _announce(settings, runner, say)
            await stop.wait()
            say("正在停下……")
        finally:
            await lines.close()
            await runner.cleanup()


class Lines:
    """The ways by which calls come, where any are set; a line that can't be had keeps nobody from the pages."""

    def __init__(self, parts: Service, say: Callable[[str], None]) -> None:
        self._parts = parts
        self._say = say
        self._open: list[Telephone | AudioSocket] = []
        self._switchboard: Switchboard | None = None

    async def open(self) -> None:
        """Take calls from now on."""
        settings = self._parts.settings
        if not (settings.sip_user or settings.audio_socket):
            return
        from connectors.audio_socket import AudioSocket
        from connectors.switchboard import Switchboard
        from connectors.telephone import Telephone

        self._switchboard = switchboard = Switchboard(self._parts)
        await switchboard.start()
        if settings.sip_user:
            await self._start(Telephone(self._parts, switchboard), "电话已经接通，可以打进来了。")
        if settings.audio_socket:
            await self._start(
                AudioSocket(self._parts, switchboard), "AudioSocket 已经打开，Asterisk 可以接进来了。"
            )

    async def _start(self, line: "Telephone | AudioSocket", said: str) -> None:
        try:
            await line.start()
        except ConnectorError as error:
            self._say(error.message)
            return
        self._open.append(line)
        self._say(said)

    async def close(self) -> None:
        """Take no more calls, and end those that are going on: what was said is kept, and a call back is planned."""
        for line in self._open:
            await line.stop()
        if self._switchboard is not None:
            self._switchboard.close()


def _end_with_stdin() -> None:
    """The program that started us holds the other end and lets go of it even when it is killed."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _bind(settings: Settings) -> socket.socket:
    """Take the port before anything is loaded, so that a taken one is told at once."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family)
    except socket.gaierror as error:
        raise ConnectorError("bad_host", f"服务地址 {settings.host} 不对，请检查 XIANGYIN_HOST。") from error


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls_certificate is None:
        return None
    try:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise ConnectorError(
            "bad_tls", "TLS 证书或密钥读不了，请检查 XIANGYIN_TLS_CERTIFICATE 和 XIANGYIN_TLS_KEY。"
        ) from error
    return context


def _announce(settings: Settings, runner: web.AppRunner, say: Callable[[str], None]) -> None:
    port = runner.addresses[0][1]
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104  # compared with, not bound to
    base = f"{'https' if settings.tls_certificate else 'http'}://{host}:{port}"
    settings.at("address").write_text(base)
    say(f"乡音已经开始服务。站点页面：{base}/station    工作台：{base}/console")
    if settings.wechat_app_id and not settings.wechat_verified:
        say("公众号没有认证：微信里只能五秒内当场回话，社工后来说的送不到，会变成打电话、上门的任务。")
    say("对话引擎还在后台加载；加载好之前，险情照样会筛查，其他的事都交给人。按 Ctrl-C 停下。")
