"""Short sounds of a call that must come at once."""

import asyncio

import structlog

from connectors.root import Service
from voice.audio import Sound
from voice.errors import VoiceError
from voice.signs import TICK
from voice.speak import Speaker as Voice

log = structlog.get_logger("connectors.telephone")

_SAYINGS = ("greeting_phone", "working", "go_on", "still_there", "what_one_can_do")
"""What must be sayable at once."""


class Signs:
    """Short sounds that must come at once: rendered when the service starts, a soft tick until then."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._sounds: dict[str, Sound] = {}
        self._preparing: asyncio.Task[None] | None = None
        self.ready = asyncio.Event()
        """Set when all is rendered, or can't be."""

    def prepare(self) -> None:
        """Begin to render."""
        self._preparing = asyncio.create_task(self._prepare())

    def close(self) -> None:
        """Stop rendering."""
        if self._preparing is not None:
            self._preparing.cancel()

    async def _prepare(self) -> None:
        phrases = self._service.domain.phrases
        try:
            for key in _SAYINGS:
                for sentence in Voice.sentences(phrases[key]):
                    self._sounds[sentence] = await self._service.voices.fixed(sentence)
        except VoiceError as error:
            log.warning("telephone.no_signs", code=error.code)
        self.ready.set()
        log.info("telephone.ready", signs=len(self._sounds))

    def said(self, sentence: str) -> Sound | None:
        """The sentence at the usual pace, where it is ready."""
        return self._sounds.get(sentence)

    def working(self, times: int) -> Sound:
        """`嗯` into a pause, a word at the first long wait, then ticks."""
        key = {0: "go_on", 1: "working"}.get(times)
        return self._sounds.get(self._service.domain.phrases[key], TICK) if key else TICK
