"""Whose turn it is, with people who speak slowly: decided by the sound that came in, never by a clock on the wall.

Old people pause for two seconds in the middle of a sentence, and nobody waits two seconds after every "好". So a pause
is the end of a turn after a time that depends on how finished the words sound and on how long this person's own pauses
were before. While it waits, the words so far may be read already (`Paused`); whoever goes on throws that away
(`WentOn`), so that patience costs little. Being patient and being hard to interrupt are two things: while the
assistant speaks, it takes what is surely a voice, and not much softer than the person's, to stop it.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from voice.audio import HEARING_RATE, Samples

WINDOW = 512
"""Samples that are judged at once: 32 ms."""
WINDOW_S = WINDOW / HEARING_RATE
_SPEECH, _STILL_SPEECH = 0.4, 0.25
"""From the first on a window is speech; what is speech already ends below the second. On a telephone line the model is
less sure than on a microphone (0.5–0.8 inside words, 0.2–0.4 on a bad line)."""
_BEFORE_S, _KEPT_S = 0.3, 2.0
"""So much of the sound before the first word belongs to it, since soft beginnings are missed; and so much is kept to
look for that first word in."""
_GAP_S = 0.3
"""A gap as short as this does not part the first word from what made it certain that somebody speaks."""
_SHORT_PAUSE_S = 0.26
_LONGEST_S = 90.0
"""Whoever speaks longer is answered in between; no recogniser and no dialogue takes more at once."""
_FINISHED_S, _UNFINISHED_S = (0.5, 2.4), (2.3, 3.5)
"""Bounds of what may be learned: a pause of two seconds in the middle of a sentence is usual, however quick somebody was so far."""
_LEARN_FROM = 2


@dataclass(frozen=True)
class Patience:
    """How long a pause of one person may last before it is the end, in seconds."""

    finished_s: float = 0.6
    """after what sounds finished"""
    unfinished_s: float = 2.5
    """after what sounds as if it went on"""

    def wait(self, finished: float) -> float:
        """The wait after words that are finished with this probability (0 to 1)."""
        share = min(max(finished, 0.0), 1.0)
        return self.unfinished_s + (self.finished_s - self.unfinished_s) * share

    def learned(self, pauses: Sequence[float]) -> "Patience":
        """From the pauses after which the person went on; the more they were, the more they count."""
        if not pauses:
            return self
        long = float(np.quantile(np.asarray(pauses), 0.9))
        weight = min(len(pauses), _LEARN_FROM) / _LEARN_FROM
        unfinished = self.unfinished_s + (long + 0.7 - self.unfinished_s) * weight
        finished = self.finished_s + (long + 0.3 - self.finished_s) * weight
        return Patience(_within(finished, _FINISHED_S), _within(unfinished, _UNFINISHED_S))


def _within(seconds: float, bounds: tuple[float, float]) -> float:
    return min(max(seconds, bounds[0]), bounds[1])


_SURE_SPEECH = 0.45
"""From there on a window is speech while the assistant speaks: half heard voices are a television's."""
_WINDOWS, _AMONG = 4, 6
"""So many windows of speech among the last so many are somebody who begins to speak: 0.13 s of a voice is not yet a word lost."""
_SURE_WINDOWS, _SURE_AMONG = 6, 8
"""And so many, where the assistant speaks. A cough is no word, and what turns out to have been none gives the assistant its place back."""
_CLEAR_SPEECH, _CLEAR_WINDOWS, _CLEAR_AMONG = 0.75, 2, 3
"""What is as clear a voice as that needs no more windows to interrupt; a cough is not (decision 12)."""
_SOFTEST, _SOFTER = 0.004, 0.2
"""Root mean square that the loudest of the last windows must have to interrupt the assistant: of anybody, and as a share of how
loud this person was so far. A television across the room is a voice too."""
_LOUDNESS_OF = 300
"""Windows of a person's voice, the last ten seconds of it, that say how loud they are."""
_SAME_TURN_S = 2.0
"""Who speaks again so soon after what was taken for their end, and before the answer, had only paused."""


@dataclass(frozen=True)
class Began:
    """Somebody speaks. at: seconds of sound since the beginning of the call, here and below."""

    at: float


@dataclass(frozen=True)
class Paused:
    """A first short pause: the words so far can be read already. speech: 16 kHz mono; voiced_s: how much was voice."""

    at: float
    speech: Samples = field(repr=False)
    voiced_s: float = 0.0


@dataclass(frozen=True)
class WentOn:
    """The pause was none; what was read of it is to be thrown away. pause_s: how long it was."""

    at: float
    pause_s: float


@dataclass(frozen=True)
class Ended:
    """The turn is over. speech: all of it, 16 kHz mono; pause_s: the wait since the last word; same_as_paused: nothing
    was said since the last `Paused`, so that what was read of that is what was said; voiced_s: how much was voice."""

    at: float
    speech: Samples = field(repr=False)
    pause_s: float = 0.0
    same_as_paused: bool = True
    voiced_s: float = 0.0


@dataclass(frozen=True)
class Quiet:
    """Nobody has spoken for so long since the last turn, or since somebody last began to wait for words."""

    at: float
    seconds: float


Event = Began | Paused | WentOn | Ended | Quiet


def _among(shares: Iterable[float], least: float) -> int:
    return sum(share >= least for share in shares)


class TurnTaker:
    """Takes sound as it comes and says what happened. One for a call; not for several threads at once."""

    def __init__(
        self,
        activity: Callable[[Samples], float],
        finished: Callable[[Samples], float],
        patience: Patience | None = None,
        *,
        quiet_after: Sequence[float] = (8.0, 16.0, 30.0),
    ) -> None:
        """`activity`: how much one window sounds like speech, 0 to 1; `finished`: how much the words so far sound as
        if they were all, 0 to 1, asked once at each short pause; `quiet_after`: seconds of `Quiet`, in order."""
        self._activity = activity
        self._finished = finished
        self._first = patience or Patience()
        self._quiet_after = tuple(quiet_after)
        self._rest: Samples = np.zeros(0, np.float32)
        self._heard = 0
        self._last: deque[float] = deque(maxlen=_SURE_AMONG)
        self._before: deque[tuple[Samples, float]] = deque(maxlen=round(_KEPT_S / WINDOW_S))
        self._speech: list[Samples] = []
        self._pause = 0
        self._wait_s = 0.0
        self._sounds_finished = 0.0
        self._words_awaited = False
        self._voiced = 0
        self._paused = False
        self._waiting_since = 0
        self._quiets = 0
        self._last_loud: deque[float] = deque(maxlen=_AMONG)
        self._loud: deque[float] = deque(maxlen=_LOUDNESS_OF)
        self._last_word: int | None = None
        self.assistant_speaks = False
        """Set while the assistant's voice is heard: it is then harder to interrupt, and nobody is waited for."""
        self.pauses: list[float] = []
        """Pauses of this call after which the person went on, in seconds: what their patience is learned from."""

    @property
    def patience(self) -> Patience:
        """What was given, and what was learned since."""
        return self._first.learned(self.pauses)

    @property
    def in_speech(self) -> bool:
        """Whether somebody is in the middle of a turn."""
        return bool(self._speech)

    @property
    def at(self) -> float:
        """Seconds of sound so far."""
        return self._heard * WINDOW_S

    @property
    def pause_s(self) -> float:
        """How long the present pause within a turn has lasted; 0 while the voice sounds."""
        return self._pause * WINDOW_S

    def wait_anew(self) -> None:
        """The silence counts from now: the assistant has just finished speaking."""
        self._waiting_since, self._quiets = self._heard, 0

    def await_words(self) -> None:
        """The words of this pause are being read: before they are known nothing can be answered, so it may go on."""
        self._words_awaited = True

    def weigh_words(self, finished: float) -> None:
        """How finished the words so far are, 0 to 1: the less finished of sound and words decides the wait."""
        self._words_awaited = False
        self._wait_s = self.patience.wait(min(self._sounds_finished, finished))

    def feed(self, samples: Samples) -> list[Event]:
        """Take sound (16 kHz mono, −1 to 1, any length) and say what happened in it."""
        sound = np.concatenate([self._rest, samples])
        whole = len(sound) // WINDOW * WINDOW
        self._rest = sound[whole:]
        events: list[Event] = []
        for start in range(0, whole, WINDOW):
            events += self._window(sound[start : start + WINDOW])
        return events

    def end(self) -> list[Event]:
        """The line is gone: what was being said is a turn all the same."""
        if not self._speech:
            return []
        return [self._close()]

    def _window(self, window: Samples) -> list[Event]:
        self._heard += 1
        share = self._activity(window)
        loud = float(np.sqrt(np.mean(window**2)))
        self._last.append(share)
        self._last_loud.append(loud)
        if self.assistant_speaks:
            self._last_word = None  # what is said now replies to something
        if not self._speech:
            return self._while_quiet(window, share)
        self._speech.append(window)
        if share >= (_SPEECH if self._pause else _STILL_SPEECH):
            self._loud.append(loud)
            return self._spoken()
        self._pause += 1
        return self._in_pause()

    def _is_loud_enough(self) -> bool:
        """Whether it can be this person who interrupts."""
        own = float(np.median(self._loud)) if self._loud else 0.0
        return not self.assistant_speaks or max(self._last_loud) >= max(_SOFTEST, _SOFTER * own)

    def _is_surely_speech(self) -> bool:
        last = [*self._last]
        if not self.assistant_speaks:
            return _among(last[-_AMONG:], _SPEECH) >= _WINDOWS
        clear = _among(last[-_CLEAR_AMONG:], _CLEAR_SPEECH) >= _CLEAR_WINDOWS
        return clear or _among(last, _SURE_SPEECH) >= _SURE_WINDOWS

    def _while_quiet(self, window: Samples, share: float) -> list[Event]:
        self._before.append((window, share))
        if self._is_surely_speech() and self._is_loud_enough():
            self._speech, before = self._from_the_first_word()
            self._learn_from_a_cut(self._heard - len(self._speech) + before)
            self._before.clear()
            self._pause, self._paused, self._voiced = 0, False, _WINDOWS
            return [Began(self.at)]
        return self._nobody_speaks()

    def _learn_from_a_cut(self, first_word: int) -> None:
        """A turn that we ended too early teaches most of all: nobody waited for that pause."""
        if (
            self._last_word is not None
            and (pause := (first_word - self._last_word) * WINDOW_S) <= _SAME_TURN_S
        ):
            self.pauses.append(pause)

    def _from_the_first_word(self) -> tuple[list[Samples], int]:
        """What was kept, from a little before where the voice began, and how many windows that little is: a voice that has to
        be certain first would lose words."""
        first = at = len(self._before) - 1
        while at >= 0 and (first - at) * WINDOW_S <= _GAP_S:
            if self._before[at][1] >= _STILL_SPEECH:
                first = at
            at -= 1
        start = max(0, first - round(_BEFORE_S / WINDOW_S))
        return [window for window, _ in [*self._before][start:]], first - start

    def _nobody_speaks(self) -> list[Event]:
        if self.assistant_speaks or self._quiets >= len(self._quiet_after):
            return []
        silent = (self._heard - self._waiting_since) * WINDOW_S
        if silent < self._quiet_after[self._quiets]:
            return []
        self._quiets += 1
        return [Quiet(self.at, silent)]

    def _spoken(self) -> list[Event]:
        pause, self._pause = self._pause * WINDOW_S, 0
        self._voiced += 1
        if len(self._speech) * WINDOW_S >= _LONGEST_S:
            return [self._close(same=False)]
        if not self._paused:
            return []
        self._paused = False
        self.pauses.append(pause)
        return [WentOn(self.at, pause)]

    def _in_pause(self) -> list[Event]:
        silent = self._pause * WINDOW_S
        if not self._paused and silent >= _SHORT_PAUSE_S:
            self._paused = True
            speech = np.concatenate(self._speech)
            self._words_awaited = False
            self._sounds_finished = self._finished(speech)
            self._wait_s = max(self.patience.wait(self._sounds_finished), silent)
            return [Paused(self.at, speech, self._voiced * WINDOW_S)]
        wait = self.patience.unfinished_s if self._words_awaited else self._wait_s
        if self._paused and silent >= wait:
            return [self._close()]
        return []

    def _close(self, *, same: bool = True) -> Ended:
        speech, silent = np.concatenate(self._speech), self._pause * WINDOW_S
        self._last_word = self._heard - self._pause if same else None
        same = same and self._paused
        self._speech, self._pause, self._paused = [], 0, False
        self._last.clear()
        self.wait_anew()
        return Ended(self.at, speech, silent, same, self._voiced * WINDOW_S)
