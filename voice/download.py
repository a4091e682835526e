"""Getting one file over HTTPS: short connect time-out, resumed after a cut, checked by its hash."""

import hashlib
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import urllib3

CONNECT_S = 5.0
"""seconds: a hub that is blocked hangs instead of refusing"""
READ_S = 20.0
_ATTEMPTS = 5

Told = Callable[[int], None]
"""called with the bytes that lie on disk by now"""


class SourceFailed(Exception):
    """This source can't give the file; the text is Chinese, one line, and says why."""


class Net:
    """HTTP for one round of fetching; remembers hosts that could not be reached and doesn't wait for them twice."""

    def __init__(self, connect_s: float = CONNECT_S, read_s: float = READ_S) -> None:
        self._timeout = urllib3.Timeout(connect=connect_s, read=read_s)
        self._retries = urllib3.Retry(total=5, connect=0, read=0, status=0, other=0, redirect=5)
        self._pools: dict[str, urllib3.PoolManager] = {}
        self._dead: set[str] = set()

    def json(self, url: str) -> object:
        """The JSON at `url`; raises SourceFailed."""
        try:
            return self._open(url, {}, preload=True).json()
        except (UnicodeDecodeError, ValueError) as error:
            raise SourceFailed(f"{_host(url)} 的回答看不懂") from error

    def download(
        self,
        url: str,
        to: Path,
        *,
        sha256: str | None = None,
        size: int | None = None,
        told: Told | None = None,
    ) -> None:
        """Write `url` to `to` through `to`.part, resuming what lies there; raises SourceFailed, OSError."""
        part = to.with_name(to.name + ".part")
        resumed = part.exists()
        self._complete(url, part, size, told)
        if sha256 and file_sha256(part) != sha256:
            part.unlink()
            if not resumed:
                raise SourceFailed(f"{_host(url)} 给的文件校验不符")
            self.download(url, to, sha256=sha256, size=size, told=told)
            return
        part.replace(to)

    def _complete(self, url: str, part: Path, size: int | None, told: Told | None) -> None:
        stuck = 0
        while stuck < _ATTEMPTS:
            before = part.stat().st_size if part.exists() else 0
            if self._more(url, part, before, size, told):
                return
            stuck = 0 if part.stat().st_size > before else stuck + 1
        raise SourceFailed(f"{_host(url)} 老是断线")

    def _more(self, url: str, part: Path, have: int, size: int | None, told: Told | None) -> bool:
        """One connection's worth; True when the file is complete."""
        if size is not None and have > size:
            part.unlink()
            have = 0
        if size is not None and have == size:
            return True
        answer = self._open(url, {"Range": f"bytes={have}-"} if have else {})
        try:
            if answer.status == 416:  # what lies here is longer than the file: begin again
                part.unlink(missing_ok=True)
                part.touch()
                return False
            start = have if answer.status == 206 else 0
            total = _total(answer, start)
            _pour(answer, part, start, told)
        finally:
            answer.release_conn()
            answer.close()
        wanted = size if size is not None else total
        return wanted is None or part.stat().st_size >= wanted

    def _open(self, url: str, headers: dict[str, str], *, preload: bool = False) -> urllib3.BaseHTTPResponse:
        host = _host(url)
        if host in self._dead:
            raise SourceFailed(f"{host} 连不上")
        headers = {"User-Agent": "xiangyin", "Accept-Encoding": "identity", **headers}
        try:
            answer = self._pool(url).request(
                "GET",
                url,
                headers=headers,
                timeout=self._timeout,
                retries=self._retries,
                preload_content=preload,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            self._dead.add(host)
            raise SourceFailed(f"{host} 连不上") from error
        if answer.status not in (200, 206, 416):
            answer.close()
            raise SourceFailed(f"{host} 没有这个文件（HTTP {answer.status}）")
        return answer

    def _pool(self, url: str) -> urllib3.PoolManager:
        proxy = ""
        if not urllib.request.proxy_bypass(urlsplit(url).hostname or ""):
            proxy = urllib.request.getproxies().get(urlsplit(url).scheme, "")
        if proxy not in self._pools:
            self._pools[proxy] = urllib3.ProxyManager(proxy) if proxy else urllib3.PoolManager()
        return self._pools[proxy]

    def close(self) -> None:
        """Give back every connection."""
        for pool in self._pools.values():
            pool.clear()


def _pour(answer: urllib3.BaseHTTPResponse, part: Path, start: int, told: Told | None) -> None:
    """Append to `part` from `start` until the body ends or the line is cut."""
    with part.open("r+b" if start else "wb") as file:
        file.seek(start)
        try:
            for block in answer.stream(1 << 14):
                file.write(block)
                if told:
                    told(file.tell())
        except urllib3.exceptions.HTTPError:
            return  # cut: the caller sees the length and asks for the rest


def _total(answer: urllib3.BaseHTTPResponse, start: int) -> int | None:
    length = answer.headers.get("Content-Length")
    return start + int(length) if length and length.isdigit() else None


def _host(url: str) -> str:
    return urlsplit(url).netloc or url


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
