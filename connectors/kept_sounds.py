"""How a caller's words sounded: held while it is not known whether they may be kept, then kept or let go."""

import asyncio
from collections import deque
from dataclasses import dataclass

import structlog

from handoff.model.errors import HandoffError
from handoff.service.recordings import Recordings
from voice.audio import HEARING_RATE, Samples, Sound, to_mp3
from voice.recognise import Transcript

log = structlog.get_logger("connectors.telephone")

_HELD_S = 300.0
"""Of what has been said before the caller was asked, no more than so much is held in memory."""
_READINGS = 4


@dataclass
class _Said:
    turn_id: int
    sound: Sound


class KeptSounds:
    """The sounds of one call."""

    def __init__(self, recordings: Recordings) -> None:
        self._recordings = recordings
        self._read: deque[tuple[Transcript, Samples]] = deque(maxlen=_READINGS)
        self._held: deque[_Said] = deque()
        self._settling = asyncio.Lock()

    def read(self, words: Transcript, speech: Samples) -> None:
        """This sound was read as these words, which may become a turn."""
        self._read.append((words, speech))

    async def said(self, token: str, words: Transcript, turn_id: int) -> None:
        """These words are this turn: its sound is kept where that is agreed to, held while it is not answered."""
        speech = next((sound for read, sound in self._read if read is words), None)
        if speech is not None:
            self._held.append(_Said(turn_id, Sound(speech, HEARING_RATE)))
        async with self._settling:
            try:
                await self._settle(token)
            except HandoffError as error:
                # The words are on record; their sound is not worth a caller's patience.
                log.error("telephone.sound_not_kept", code=error.code)

    async def _settle(self, token: str) -> None:
        allowed = await self._recordings.allowed(token)
        if allowed is None:
            while sum(len(one.sound.samples) / one.sound.rate for one in self._held) > _HELD_S:
                self._held.popleft()
            return
        while allowed and self._held:
            one = self._held[0]
            await self._recordings.keep(token, one.turn_id, await asyncio.to_thread(to_mp3, one.sound))
            self._held.popleft()
        self._held.clear()
