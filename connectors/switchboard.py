"""What all lines share: the models of turn-taking, the sounds that must come at once, and how many may talk."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import structlog

from connectors.call_line import CallLine
from connectors.put_through import Dial
from connectors.root import Service
from connectors.served import Begin, Served, Settled
from connectors.signs import Signs
from voice.activity import VoiceActivity, load_activity
from voice.audio import Samples
from voice.errors import VoiceError
from voice.smart_turn import SmartTurn
from voice.turn_taking import TurnTaker

log = structlog.get_logger("connectors.telephone")

_UNSURE = 0.5
"""How finished words sound where no model can tell."""
_WAITS_S = 10.0


class Switchboard:
    """Serves calls, whatever line they come over. One for a process."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._pool = ThreadPoolExecutor(2, "turn-taking")
        self._activity: Any = None
        self._smart_turn: Callable[[Samples], float] = lambda _speech: _UNSURE
        self._signs = Signs(service)
        self.talking = 0
        self.dial: Dial | None = None
        """Rings up a number, where there is a line for that."""

    async def start(self) -> None:
        """Load the models; what is said at once is rendered in the background (`ready`)."""
        await asyncio.to_thread(self._load_models)
        self._signs.prepare()

    def close(self) -> None:
        """Serve no more."""
        self._signs.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    @property
    def ready(self) -> asyncio.Event:
        """Set when there is a voice to greet with, or there will be none."""
        return self._signs.ready

    async def can_greet(self) -> None:
        """Until there is a voice to greet with, but not for ever: somebody waits."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.ready.wait(), _WAITS_S)

    def is_full(self) -> bool:
        """Whether more at once would be heard by nobody."""
        return self.talking >= self._service.settings.sip_calls

    async def talk(
        self, line: CallLine, begin: Begin, name: str = "call", settled: Settled | None = None
    ) -> bool:
        """The whole conversation of one call; whether anything was said in it."""
        self.talking += 1
        try:
            taker = TurnTaker(VoiceActivity(self._activity), self._smart_turn)
            with self._service.voices.undisturbed():
                served = Served(self._service, line, taker, self._signs, self._pool, self.dial, name, settled)
                return await served.run(begin)
        finally:
            self.talking -= 1

    def _load_models(self) -> None:
        self._activity = load_activity()
        try:
            self._smart_turn = SmartTurn(self._service.settings.models / "smart-turn")
        except VoiceError:
            log.warning("telephone.no_smart_turn")  # patience alone then decides
