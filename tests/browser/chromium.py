"""A headless Chromium driven by its own DevTools protocol: tabs, real mouse and keys, what went wrong inside."""

import asyncio
import base64
import contextlib
import itertools
import json
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp

STARTS_WITHIN_S = 60.0
WITHIN_S = 60.0
"""So long a page may take for anything at all; far more than it needs, so that a slow machine fails nothing."""

_PRESSES = 3

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
    "--no-default-browser-check", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--disable-backgrounding-occluded-windows", "--disable-renderer-backgrounding", "--disable-background-timer-throttling",
    "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", "--remote-debugging-port=0",
    "--hide-scrollbars", "--lang=zh-CN", "--force-color-profile=srgb",
)  # fmt: skip

# Notes each sound that a page plays from a buffer: how long it is, whether it could be heard, whether it came to its end.
WATCH_SOUND = """
window.heardSounds = [];
const start = AudioBufferSourceNode.prototype.start;
AudioBufferSourceNode.prototype.start = function (...args) {
  const one = { seconds: this.buffer?.duration ?? 0, ended: false, running: this.context.state === "running" };
  window.heardSounds.push(one);
  this.addEventListener("ended", () => { one.ended = true; });
  return start.apply(this, args);
};
"""

_KEYS = {
    "Enter": (13, "\r"), "Tab": (9, ""), " ": (32, " "), "Escape": (27, ""),
    "ArrowDown": (40, ""), "ArrowUp": (38, ""), "ArrowLeft": (37, ""), "ArrowRight": (39, ""),
}  # fmt: skip


class BrowserError(Exception):
    """The browser did not start, a page did not do what was waited for, or a protocol call failed."""


def find() -> str | None:
    """The path of a Chromium, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@dataclass
class Tab:
    """One page. Waits are bounded; a wait that ends in vain raises BrowserError."""

    browser: "Chromium"
    session: str
    target: str
    troubles: list[str] = field(default_factory=list)
    """Errors and warnings in the console, breaches of the content policy, uncaught exceptions."""
    requests: list[str] = field(default_factory=list)
    """Addresses asked for, in order."""
    answers: list[tuple[int, str]] = field(default_factory=list)
    """(status, address) of what was answered."""

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """A call of the protocol on this page."""
        return await self.browser.call(method, params, self.session)

    async def goto(self, address: str) -> None:
        """Open the address and wait until it has loaded."""
        # An open event stream never lets a page load "completely"; the document itself is enough.
        await self.call("Page.navigate", url=address)
        wanted = json.dumps(address.split("#")[0].split("?")[0])
        await self.until(f"location.href.startsWith({wanted}) && document.readyState === 'complete'")

    async def js(self, expression: str) -> Any:
        """The value of an expression; a promise is awaited."""
        answer = await self.call(
            "Runtime.evaluate",
            expression=expression,
            returnByValue=True,
            awaitPromise=True,
            userGesture=False,
        )
        if "exceptionDetails" in answer:
            raise BrowserError(f"{expression}: {answer['exceptionDetails'].get('text')}")
        return answer["result"].get("value")

    async def until(self, expression: str, within_s: float = WITHIN_S) -> Any:
        """Wait until the expression is true; its value."""
        deadline = asyncio.get_running_loop().time() + within_s
        while True:
            # A page that is just being replaced has no answer yet.
            with contextlib.suppress(BrowserError):
                if value := await self.js(expression):
                    return value
            if asyncio.get_running_loop().time() > deadline:
                raise BrowserError(f"never came true: {expression}; the page shows: {await self._seen()}")
            await asyncio.sleep(0.03)

    async def _seen(self) -> str:
        with contextlib.suppress(BrowserError):
            return str(await self.js("document.body.dataset.state + ' ' + document.body.innerText"))[:600]
        return "nothing"

    async def text(self, selector: str) -> str:
        """What stands in the element, as seen; empty where it is hidden."""
        return str(await self.js(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")).strip()

    async def until_text(self, selector: str, part: str) -> str:
        """Wait until the element's visible text holds the part; the whole text."""
        at, wanted = json.dumps(selector), json.dumps(part)
        return str(
            await self.until(
                f"(t => t.includes({wanted}) && t)(document.querySelector({at})?.innerText ?? '')"
            )
        )

    async def middle(self, selector: str) -> tuple[float, float]:
        """The middle of the element in the window, scrolled into sight."""
        x, y = await self.until(
            f"""(e => {{ if (!e || e.disabled) return null; e.scrollIntoView({{block: 'nearest'}}); const b = e.getBoundingClientRect();
            return b.width ? [b.x + b.width / 2, b.y + b.height / 2] : null; }})(document.querySelector({json.dumps(selector)}))"""
        )
        return float(x), float(y)

    async def mouse(self, kind: str, selector: str) -> None:
        """`mousePressed` or `mouseReleased` on the middle of the element."""
        x, y = await self.middle(selector)
        await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def click(self, selector: str) -> None:
        """Press and let go; as a hand does, again where the page moved under it at the last moment."""
        at = json.dumps(selector)
        for _ in range(_PRESSES):
            await self.js(
                "window.pressedOn = null;"
                "addEventListener('pointerdown', (e) => { window.pressedOn = e.target; }, { once: true, capture: true })"
            )
            await self.mouse("mousePressed", selector)
            if (
                await self.until(
                    f"window.pressedOn && (document.querySelector({at})?.contains(window.pressedOn) ? 'hit' : 'missed')"
                )
                == "hit"
            ):
                await self.mouse("mouseReleased", selector)
                return
            await self.call(
                "Input.dispatchMouseEvent", type="mouseReleased", x=0, y=0, button="left", clickCount=1
            )
        raise BrowserError(f"something else lies where {selector} is")

    async def write(self, selector: str, text: str) -> None:
        """Click into the field and type."""
        await self.click(selector)
        await self.call("Input.insertText", text=text)

    async def key(self, name: str, kind: str = "both", modifiers: int = 0) -> None:
        """A key of the keyboard: `down`, `up`, or both. Modifiers: 1 Alt, 2 Ctrl, 4 Meta, 8 Shift."""
        code, char = _KEYS.get(name, (ord(name.upper()[0]), name))
        about = {"key": name, "windowsVirtualKeyCode": code, "modifiers": modifiers, "code": _code(name)}
        if kind in ("both", "down"):
            await self.call("Input.dispatchKeyEvent", type="keyDown", text=char, **about)
        if kind in ("both", "up"):
            await self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    async def size(self, width: int, height: int, *, touch: bool = False) -> None:
        """The window's inner size in CSS pixels; `touch` makes it a phone."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=touch,
        )

    async def shot(self, path: Path) -> None:
        """A picture of what the window shows, as PNG."""
        answer = await self.call("Page.captureScreenshot", format="png", optimizeForSpeed=False)
        await asyncio.to_thread(path.write_bytes, base64.b64decode(answer["data"]))

    async def names(self) -> list[tuple[str, str]]:
        """(role, accessible name) of everything that assistive technology is told of."""
        nodes = (await self.call("Accessibility.getFullAXTree"))["nodes"]
        return [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in nodes
            if not node["ignored"] and "role" in node
        ]

    async def close(self) -> None:
        """Close the page."""
        await self.browser.call("Target.closeTarget", {"targetId": self.target})

    def _notice(self, method: str, params: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Network.responseReceived":
            self.answers.append((params["response"]["status"], params["response"]["url"]))
        elif method == "Runtime.exceptionThrown":
            self.troubles.append("exception: " + json.dumps(params["exceptionDetails"])[:400])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.troubles.append(f"console.{params['type']}: {json.dumps(params['args'])[:400]}")
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            entry = params["entry"]
            self.troubles.append(f"{entry['source']}: {entry['text']} {entry.get('url', '')}")


def _code(name: str) -> str:
    if name == " ":
        return "Space"
    return name if len(name) > 1 else f"Key{name.upper()}"


class Chromium:
    """A running browser; `microphone` is the file that its fake microphone plays, once for each opening."""

    def __init__(self, folder: Path, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.microphone = folder / "microphone.wav"
        self._socket = socket
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._tabs: dict[str, Tab] = {}
        self._reading = asyncio.create_task(self._read())

    @classmethod
    @asynccontextmanager
    async def start(cls) -> AsyncIterator[Self]:
        """Start a browser with a profile of its own, and end it afterwards."""
        program = find()
        if program is None:
            raise BrowserError("no Chromium found")
        folder = Path(tempfile.mkdtemp(prefix="chromium-"))
        process = await asyncio.create_subprocess_exec(
            program, *FLAGS, f"--user-data-dir={folder / 'profile'}", f"--use-file-for-fake-audio-capture={folder / 'microphone.wav'}%noloop",
            "about:blank", stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            async with aiohttp.ClientSession() as http:
                address = await _address(folder / "profile" / "DevToolsActivePort", process)
                async with http.ws_connect(address, max_msg_size=0) as socket:
                    browser = cls(folder, socket)
                    try:
                        yield browser
                    finally:
                        await browser._close(process)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def call(self, method: str, params: dict[str, Any], session: str = "") -> dict[str, Any]:
        """A call of the protocol; raises BrowserError."""
        number = next(self._ids)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": params}
        await self._socket.send_json(message | ({"sessionId": session} if session else {}))
        try:
            return await asyncio.wait_for(answer, WITHIN_S)
        except TimeoutError as error:
            raise BrowserError(f"{method}: no answer") from error
        finally:
            del self._waiting[number]

    async def profile(self) -> str:
        """A fresh profile (cookies, storage) inside the browser; for `tab`."""
        return str((await self.call("Target.createBrowserContext", {}))["browserContextId"])

    async def tab(self, profile: str, width: int = 1280, height: int = 800) -> Tab:
        """A new page in a window of its own."""
        made = await self.call(
            "Target.createTarget", {"url": "about:blank", "browserContextId": profile, "newWindow": True}
        )
        target = made["targetId"]
        session = (await self.call("Target.attachToTarget", {"targetId": target, "flatten": True}))[
            "sessionId"
        ]
        tab = self._tabs[session] = Tab(self, session, target)
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            await tab.call(f"{domain}.enable")
        await tab.call("Page.addScriptToEvaluateOnNewDocument", source=WATCH_SOUND)
        # Every page believes that it is in front: two are watched at once.
        await tab.call("Emulation.setFocusEmulationEnabled", enabled=True)
        await tab.size(width, height)
        return tab

    async def close_profile(self, profile: str) -> None:
        """Close the profile and all its pages."""
        # A browser that is slow to forget is no fault of the project.
        with contextlib.suppress(BrowserError):
            await self.call("Target.disposeBrowserContext", {"browserContextId": profile})

    async def _read(self) -> None:
        async for message in self._socket:
            data = json.loads(message.data)
            if "id" not in data:
                if tab := self._tabs.get(data.get("sessionId", "")):
                    tab._notice(data["method"], data["params"])
            elif (waiting := self._waiting.get(data["id"])) and not waiting.done():
                if "error" in data:
                    waiting.set_exception(BrowserError(str(data["error"].get("message"))))
                else:
                    waiting.set_result(data["result"])

    async def _close(self, process: asyncio.subprocess.Process) -> None:
        with contextlib.suppress(BrowserError, ConnectionError):
            await self.call("Browser.close", {})
        self._reading.cancel()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.send_signal(signal.SIGKILL)
            await process.wait()


async def _address(written: Path, process: asyncio.subprocess.Process) -> str:
    """The browser writes its debugging address into its profile when it is ready."""
    deadline = asyncio.get_running_loop().time() + STARTS_WITHIN_S
    while True:
        with contextlib.suppress(OSError, ValueError):
            port, path = (await asyncio.to_thread(written.read_text)).split("\n")[:2]
            return f"ws://127.0.0.1:{port}{path}"
        if process.returncode is not None or asyncio.get_running_loop().time() > deadline:
            raise BrowserError("Chromium did not start")
        await asyncio.sleep(0.05)
