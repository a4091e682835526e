"""The telephone: a SIP user agent inside the service. Every call is a conversation like any other."""

import asyncio
import logging
import re
from contextlib import suppress
from functools import partial
from typing import Any

import structlog

from connectors.call_line import DEAD_S
from connectors.errors import ConnectorError
from connectors.root import Service
from connectors.sip_line import SipLine, dialled
from connectors.switchboard import Switchboard
from handoff.model.nouns import Opening
from handoff.model.words import Channel
from handoff.service.calls import Due

log = structlog.get_logger("connectors.telephone")

_BUFFER = "audio_jitter_buffer_type adaptive\naudio_jitter_buffer_ms 100-600\n"
"""On a bad line the sound waits longer for its late parts. Through packets late by up to 200 ms the stack's own fixed buffer
lost two fifths of what was said, this one a tenth, and on a good line it is as quick (decision 18)."""
_CONFIRMED_S = 8.0
"""So long a far end may take to confirm that it heard our answer; SIP itself would hold the line for 32 s."""
_RINGS_UP_S = 40.0
"""An old person needs time to reach the telephone."""
_LOOKS_S = 2.0
"""So often it is looked whether somebody is to be rung up."""


class Telephone:
    """Registers with an exchange or waits for direct calls; serves each call until it ends."""

    def __init__(self, service: Service, switchboard: Switchboard) -> None:
        self._service = service
        self._settings = service.settings
        self._switchboard = switchboard
        self._calls: set[asyncio.Task[None]] = set()
        self._ringing_up: asyncio.Task[None] | None = None
        self._runtime: Any = None
        self._agent: Any = None

    async def start(self) -> None:
        """Take calls from now on; raises ConnectorError naming the setting that is wrong."""
        import baresip

        # Its records hold callers' numbers.
        logging.getLogger("baresip").setLevel(logging.CRITICAL + 1)
        config, account = self._sip()
        self._runtime = baresip.Runtime()
        try:
            await self._runtime.start(config)
            self._agent = agent = await baresip.UserAgent.create(self._runtime, account)
            agent.on_incoming(self._on_incoming)
            if self._settings.sip_registrar:
                await _register(agent)
        except Exception as error:  # the stack's own kinds, all bare
            with suppress(baresip.BaresipError):
                await self._runtime.close()
            self._runtime = None
            raise ConnectorError(
                "no_telephone",
                f"电话接不上（{type(error).__name__}）。请检查 XIANGYIN_SIP_ 开头的设置和网络。",
            ) from error
        self._switchboard.dial = self._dial
        if self._settings.calls_out:
            self._ringing_up = asyncio.create_task(self._ring_up_whom_it_is_time_for())

    def _sip(self) -> tuple[Any, Any]:
        import baresip

        settings = self._settings
        try:
            return baresip.Config(
                net_interface=settings.sip_interface or None,
                # Each may be put through to a worker; and what rings but never talks must not make us busy.
                max_concurrent_calls=4 * settings.sip_calls,
                rtp_timeout=DEAD_S,
                native_log_level="error",
                extra_config_text=_BUFFER
                + (f"sip_listen {settings.sip_listen}\n" if settings.sip_listen else ""),
            ), baresip.Account(
                settings.sip_user, settings.sip_domain, settings.sip_password,
                registrar=settings.sip_registrar or None, reg_interval=600 if settings.sip_registrar else 0,
                audio_codecs=("pcma", "pcmu"),
            )  # fmt: skip
        except (TypeError, ValueError) as error:
            raise ConnectorError(
                "bad_sip", f"电话的设置不对：{error}。请检查 XIANGYIN_SIP_ 开头的设置。"
            ) from error

    async def stop(self) -> None:
        """Take no more calls, and end those that are going on: what was said is kept, and a call back is planned."""
        if self._runtime is None:
            return
        going = [*self._calls, *([self._ringing_up] if self._ringing_up else [])]
        for task in going:
            task.cancel()
        await asyncio.gather(*going, return_exceptions=True)
        with suppress(Exception):  # a stack that does not stop must not keep the service from stopping
            await self._runtime.close()

    def _on_incoming(self, call: Any) -> None:
        task = asyncio.ensure_future(self._serve(call))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _dial(self, number: str) -> Any:
        settings = self._settings
        uri = settings.sip_dial.format(number=number, domain=settings.sip_domain)
        return await dialled(self._runtime, self._agent, uri)

    async def _ring_up_whom_it_is_time_for(self) -> None:
        """One call after the other, and only while a line is left for whoever calls in."""
        calls = self._service.domain.calls
        await self._switchboard.ready.wait()
        left_over = True  # by the last run of the service, or by a fault: it still counts as ringing
        while True:
            try:
                if left_over:
                    await calls.recover()
                    left_over = False
                talking = self._switchboard.talking
                if talking + 1 < self._settings.sip_calls or not talking:
                    due = await calls.take_due()
                    if due is not None:
                        await self._ring_up(due)
                        continue
            except Exception as error:  # whatever one call comes to, the next is made
                log.error("telephone.not_rung_up", fault=type(error).__name__)
                left_over = True
            await asyncio.sleep(_LOOKS_S)

    async def _ring_up(self, due: Due) -> None:
        calls, call = self._service.domain.calls, None
        try:
            async with asyncio.timeout(_RINGS_UP_S):
                call = await self._dial(due.number)
                await call.wait_established()
        except Exception as error:  # busy, refused, no answer: the stack's own kinds, all bare
            log.info("telephone.no_answer", fault=type(error).__name__)
            await calls.missed(due.id, "no_answer")
        else:
            begin = partial(self._service.domain.turns.begin_call, due.id)
            name, settled = f"rung-{due.id}-{due.tries}", partial(calls.is_settled, due.id)
            spoke = await self._switchboard.talk(SipLine(call), begin, name, settled)
            await calls.ended(due.id, spoke=spoke)
        finally:
            if call is not None:
                with suppress(Exception):
                    await call.hangup()

    async def _serve(self, call: Any) -> None:
        try:
            await self._switchboard.can_greet()  # it rings until then
            if self._switchboard.is_full():
                await call.reject()  # more at once would be heard by nobody: they hear that the line is busy
                return
            line = SipLine(call, keeps_keys=True)  # who calls often knows the keys by heart
            await call.answer()
            await call.wait_established(_CONFIRMED_S)
            opening = Opening(Channel.PHONE, address=number_of(call.peer))
            begin = partial(self._service.domain.turns.begin, opening)
            # Only now: whatever rings without a person behind it takes no line from one.
            await self._switchboard.talk(line, begin)
        except asyncio.CancelledError:
            with suppress(Exception):
                await call.hangup()
            raise
        except Exception as error:  # one bad call must not end the others, and its words are in no log
            log.error("telephone.call_failed", fault=type(error).__name__)
            with suppress(Exception):
                await call.hangup()


async def _register(agent: Any) -> None:
    """An exchange that is down just now is no fault of ours: the stack goes on trying by itself."""
    import baresip

    try:
        await agent.register()
    except baresip.RegistrationError as error:
        log.warning("telephone.not_registered", status=getattr(error, "status", None))


def number_of(peer: str | None) -> str | None:
    """The caller's number in a SIP address; None where it holds none."""
    found = re.match(r"(?:sips?|tel):(\+?\d{3,20})\b", peer or "")
    return found[1] if found else None
