"""Two engines for one ear: where the first is not sure what it heard, the other reads the same sound."""

from collections.abc import Callable

import structlog

from voice.audio import HEARING_RATE, Sound, from_pcm16
from voice.errors import VoiceError
from voice.recognise import Recogniser, RecogniserStream, Transcript, always

log = structlog.get_logger("voice.second_opinion")

SURE = 0.6
"""What was heard with less is read again; below it the danger screen too takes any sign for danger."""


class SecondOpinion(Recogniser):
    """The first engine's words; the other's beside them, or in their place where the other is surer."""

    def __init__(self, first: Recogniser, other: Recogniser, *, always: bool = False) -> None:
        """`always`: ask the other however sure the first is."""
        super().__init__()
        self.name = first.name
        self._first = first
        self._other = other
        self._always = always

    def load(self) -> None:
        self._first.load()
        try:
            self._other.load()
        except VoiceError as error:  # one engine is enough to hear
            log.warning("voice.no_second_opinion", code=error.code)

    def close(self) -> None:
        self._first.close()
        self._other.close()

    def thorough(self) -> Recogniser:
        return SecondOpinion(self._first, self._other, always=True)

    def transcribe(
        self, sound: Sound, *, expect: str = "", wanted: Callable[[], bool] = always
    ) -> Transcript:
        heard = self._first.transcribe(sound, expect=expect, wanted=wanted)
        return self.together(heard, sound, expect) if wanted() else heard

    def stream(self, *, expect: str = "") -> RecogniserStream:
        return _Stream(self, self._first.stream(expect=expect), expect)

    def together(self, heard: Transcript, sound: Sound, expect: str) -> Transcript:
        """What both make of the sound; the first's words alone where the other fails."""
        if heard.confidence >= SURE and not self._always:
            return heard
        try:
            again = self._other.transcribe(sound, expect=expect)
        except VoiceError as error:
            log.warning("voice.no_second_opinion", code=error.code)
            return heard
        better, worse = (again, heard) if again.confidence > heard.confidence else (heard, again)
        others = dict.fromkeys((worse.text, *better.others, *worse.others))
        return Transcript(
            better.text, better.confidence, better.engine, heard.seconds, heard.took + again.took,
            tuple(other for other in others if other and other != better.text),
        )  # fmt: skip


class _Stream(RecogniserStream):
    """The first engine's partial results; the sound is kept for the other."""

    def __init__(self, both: SecondOpinion, first: RecogniserStream, expect: str) -> None:
        self._both = both
        self._first = first
        self._expect = expect
        self._pcm = bytearray()

    def feed(self, pcm16: bytes) -> str:
        self._pcm += pcm16
        return self._first.feed(pcm16)

    def finish(self) -> Transcript:
        sound = from_pcm16(bytes(self._pcm[: len(self._pcm) // 2 * 2]), HEARING_RATE)
        return self._both.together(self._first.finish(), sound, self._expect)
