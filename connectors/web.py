"""What every web part shares: plain errors, headers, JSON bodies, server-sent events."""

from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from aiohttp import web

from connectors.errors import ConnectorError
from handoff.model.errors import HandoffError
from voice.errors import VoiceError

log = structlog.get_logger()

MAX_BODY = 2 * 1024 * 1024  # bytes; 100,000 characters of text fit, and nothing much larger

_STATUS = {
    "unknown_conversation": 404, "no_such_case": 404, "no_such_reply": 404, "bad_request": 400, "too_long": 413, "not_allowed": 403,
    "disk_full": 507, "read_only": 507, "busy": 503, "store_down": 503, "wrong_key": 503, "damaged": 503, "model_missing": 503, "truncated_model": 503, "engine_failed": 503,
}  # fmt: skip

_POLICY = "default-src 'self'; style-src 'self'; script-src 'self'; img-src 'self' data:; media-src 'self' blob:; frame-ancestors 'none'; form-action 'self'; base-uri 'none'"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def plain_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every failure becomes JSON with a stable code and one sentence that can be read aloud."""
    try:
        return await handler(request)
    except (HandoffError, VoiceError, ConnectorError) as error:
        status = _STATUS.get(error.code, 400)
        if status >= 500:
            log.error("web.failed", code=error.code, path=request.path.split("/")[1])
        return web.json_response({"error": error.code, "say": error.message}, status=status)
    except web.HTTPRequestEntityTooLarge:
        return web.json_response({"error": "too_long", "say": "这段话太长了，请分几次说。"}, status=413)
    except web.HTTPException:
        raise
    except Exception as error:  # the outermost boundary: the type alone, since a message may hold words
        log.error("web.crashed", error=type(error).__name__, path=request.path.split("/")[1])
        return web.json_response(
            {"error": "crashed", "say": "我这边出了点毛病，请再试一次，或者按“找人”。"}, status=500
        )


async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """No framing, no sniffing, no leak of tokens in referrers, nothing of a person in a cache."""
    response.headers.setdefault("Content-Security-Policy", _POLICY)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers.setdefault("Cache-Control", "no-store")


async def json_body(request: web.Request) -> dict[str, Any]:
    """The request's JSON object; raises ConnectorError bad_request."""
    try:
        body = await request.json()
    except (ValueError, LookupError, RecursionError) as error:
        raise ConnectorError("bad_request", "请求的内容不是 JSON。") from error
    if not isinstance(body, dict):
        raise ConnectorError("bad_request", "请求的内容应是一个 JSON 对象。")
    return body


def text_field(body: dict[str, Any], name: str, *, longest: int, empty: bool = False) -> str:
    """A string field of a request, with `empty` any words at all; raises ConnectorError bad_request or too_long."""
    value = body.get(name)
    if not isinstance(value, str) or not (empty or (value and value.isprintable())):
        raise ConnectorError("bad_request", f"请求里缺 {name}。")
    if len(value) > longest:
        raise ConnectorError("too_long", "这段话太长了，请分几次说。")
    return value
