"""The way in for the command line and for connectors in other processes: JSON, by the installation's own token."""

import hmac
from typing import Any

from aiohttp import web

from connectors.errors import ConnectorError
from connectors.replies import present, present_outcome
from connectors.root import Service
from connectors.station import MAX_TEXT
from connectors.web import json_body, text_field
from handoff.model.nouns import Opening, Utterance
from handoff.model.words import Channel, Speaker


class Gateway:
    """Routes under /api."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._domain = service.domain

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        app.router.add_get("/api/health", self._health)
        app.router.add_post("/api/conversations", self._begin)
        app.router.add_post("/api/turns", self._turn)
        app.router.add_post("/api/matters", self._matters)
        app.router.add_post("/api/understand", self._understand)

    async def _health(self, _request: web.Request) -> web.StreamResponse:
        """Open to all: says no more than what works."""
        return web.json_response({"status": "ok", "dialogue": bool(self._service.rasa.url)})

    async def _begin(self, request: web.Request) -> web.StreamResponse:
        body = await self._allowed(request)
        try:
            opening = Opening(
                Channel(body.get("channel", "terminal")),
                Speaker(body.get("speaker", "self")),
                text_field(body, "station", longest=40) if body.get("station") else None,
            )
        except ValueError as error:
            raise ConnectorError(
                "bad_request",
                "channel 须是 phone、kiosk、wechat 或 terminal；speaker 须是 self、family 或 volunteer。",
            ) from error
        token, reply = await self._domain.turns.begin(opening)
        self._domain.dispatch.shown(reply.id)
        return web.json_response({"conversation": token, "reply": present(reply, token)})

    async def _turn(self, request: web.Request) -> web.StreamResponse:
        body = await self._allowed(request)
        token = text_field(body, "conversation", longest=64)
        text = text_field(body, "text", longest=MAX_TEXT, empty=True)
        outcome = await self._domain.turns.take(
            Utterance(token, text_field(body, "message_id", longest=128), text)
        )
        if outcome.reply:
            self._domain.dispatch.shown(outcome.reply.id)
        return web.json_response(present_outcome(outcome, token))

    async def _matters(self, request: web.Request) -> web.StreamResponse:
        body = await self._allowed(request)
        return web.json_response(
            {"cases": await self._domain.talks.matters(text_field(body, "conversation", longest=64))}
        )

    async def _understand(self, request: web.Request) -> web.StreamResponse:
        body = await self._allowed(request)
        known = await self._domain.understander.understand(
            text_field(body, "text", longest=MAX_TEXT, empty=True)
        )
        fields = {
            "need": known.need,
            "risk": known.risk,
            "kinds": [*known.kinds],
            "confidence": known.confidence,
            "reply": known.reply,
        }
        return web.json_response(fields)

    async def _allowed(self, request: web.Request) -> dict[str, Any]:
        """The body of a request that bears the installation's token."""
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(
            given.encode("utf-8", "replace"), self._service.settings.api_token.encode()
        ):
            raise ConnectorError("not_allowed", "没有带对的令牌。")
        return await json_body(request)
