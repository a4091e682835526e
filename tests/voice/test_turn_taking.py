"""Whose turn it is: patient with pauses, hard to interrupt by a cough, easy by words, and never by the wall clock."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from connectors.bench.noises import noises
from voice.activity import VoiceActivity, load_activity
from voice.audio import HEARING_RATE, Samples
from voice.turn_taking import WINDOW_S, Began, Ended, Event, Patience, Paused, Quiet, TurnTaker, WentOn

VOICE, NOISE, NOBODY = 1.0, 0.45, 0.0


def sound(*parts: tuple[float, float]) -> Samples:
    """(how much it is a voice, seconds) …: the level stands for what the activity model would say."""
    return np.concatenate(
        [np.full(round(seconds * HEARING_RATE), level, np.float32) for level, seconds in parts]
    )


def by_level(window: Samples) -> float:
    return float(window.mean())


def taker(finished: float | Callable[[Samples], float] = 1.0, **more: object) -> TurnTaker:
    says = finished if callable(finished) else lambda _speech: finished
    return TurnTaker(by_level, says, **more)  # type: ignore[arg-type]


def kinds(events: Iterable[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


def only(events: Iterable[Event], kind: type) -> list[Event]:
    return [event for event in events if isinstance(event, kind)]


def test_a_sentence_is_a_turn() -> None:
    events = taker().feed(sound((NOBODY, 1), (VOICE, 2), (NOBODY, 2)))
    assert kinds(events) == ["Began", "Paused", "Ended"]
    (ended,) = only(events, Ended)
    assert isinstance(ended, Ended) and ended.same_as_paused
    assert 2.4 < len(ended.speech) / HEARING_RATE < 3.4


def test_what_sounds_finished_is_answered_sooner() -> None:
    waits = {}
    for finished in (0.0, 1.0):
        (ended,) = only(taker(finished).feed(sound((VOICE, 1), (NOBODY, 4))), Ended)
        waits[finished] = ended.pause_s  # type: ignore[union-attr]
    assert waits[1.0] == pytest.approx(0.6, abs=0.05)
    assert waits[0.0] == pytest.approx(2.5, abs=0.05)


def test_a_pause_of_two_seconds_in_the_middle_does_not_end_what_sounds_unfinished() -> None:
    events = taker(0.0).feed(sound((VOICE, 1), (NOBODY, 2), (VOICE, 1), (NOBODY, 4)))
    assert kinds(events) == ["Began", "Paused", "WentOn", "Paused", "Ended"]
    (went_on,) = only(events, WentOn)
    assert went_on.pause_s == pytest.approx(2.0, abs=0.1)  # type: ignore[union-attr]
    (ended,) = only(events, Ended)
    assert len(ended.speech) / HEARING_RATE > 6  # type: ignore[union-attr]


def test_patience_is_learned_from_how_the_person_pauses() -> None:
    slow = taker(0.5)
    before = slow.patience
    for _ in range(4):
        slow.feed(sound((VOICE, 0.6), (NOBODY, 1.3)))
    slow.feed(sound((VOICE, 0.6), (NOBODY, 4)))
    assert slow.patience.unfinished_s > 1.6 and slow.patience.finished_s > before.finished_s
    quick = taker(0.5)
    for _ in range(6):
        quick.feed(sound((VOICE, 0.6), (NOBODY, 0.4)))
    assert quick.patience.unfinished_s < before.unfinished_s


@pytest.mark.parametrize("pauses", [[0.01] * 50, [60.0] * 50])
def test_what_is_learned_keeps_within_bounds(pauses: list[float]) -> None:
    learned = Patience().learned(pauses)
    assert 0.5 <= learned.finished_s <= 2.4
    assert 2.3 <= learned.unfinished_s <= 3.5


@pytest.mark.parametrize(
    ("like_a_voice", "seconds", "interrupts"),
    [(0.6, 0.15, False), (0.6, 0.6, True), (VOICE, 0.03, False), (VOICE, 0.15, True)],
)
def test_what_is_half_a_voice_must_last_and_what_is_clearly_one_need_not(
    like_a_voice: float, seconds: float, interrupts: bool
) -> None:
    """A cough is at most half a voice to the model, a word is clearly one (decision 12)."""
    one = taker()
    one.assistant_speaks = True
    events = one.feed(sound((NOBODY, 1), (like_a_voice, seconds), (NOBODY, 1)))
    assert bool(only(events, Began)) is interrupts


def test_noises_interrupt_hardly_ever() -> None:
    """By the real model: noises down a telephone line."""
    session, kinds_of_noise = load_activity(), noises(Path("no clips"), each=6)
    assert len(kinds_of_noise) == 48

    def begins(noise: Samples) -> bool:
        one = TurnTaker(VoiceActivity(session), lambda _speech: 1.0)
        one.assistant_speaks = True
        return bool(only(one.feed(noise), Began))

    assert sum(map(begins, kinds_of_noise)) <= 0.05 * len(kinds_of_noise)


def test_a_voice_interrupts_within_three_tenths_of_a_second() -> None:
    one = taker()
    one.assistant_speaks = True
    (began, *_) = one.feed(sound((NOBODY, 1), (VOICE, 1)))
    assert began.at - 1.0 <= 0.3


def test_a_television_far_away_interrupts_nobody() -> None:
    one = taker()
    one.assistant_speaks = True
    assert one.feed(sound((NOISE, 10))) == []


def test_a_voice_much_softer_than_the_persons_own_does_not_interrupt_and_theirs_does() -> None:
    """By a model that takes both for a voice: only the loudness tells them apart."""
    for loud, interrupts in ((0.01, False), (0.08, True)):
        one = TurnTaker(lambda window: float(window.any()), lambda _speech: 1.0)
        one.feed(sound((0.1, 2), (NOBODY, 2)))
        one.assistant_speaks = True
        assert bool(only(one.feed(sound((loud, 2))), Began)) is interrupts


def test_who_speaks_softly_may_interrupt_softly() -> None:
    one = TurnTaker(lambda window: float(window.any()), lambda _speech: 1.0)
    one.feed(sound((0.008, 2), (NOBODY, 2)))
    one.assistant_speaks = True
    assert only(one.feed(sound((0.007, 2))), Began)


def test_who_was_cut_off_is_waited_for_longer_the_next_time() -> None:
    one = taker(1.0)
    slowly = sound((VOICE, 1), (NOBODY, 1.8))
    # They go on before anything is answered: the first two pauses are taken for the end, the next is waited for.
    assert [bool(only(one.feed(slowly), Ended)) for _ in range(4)] == [True, True, False, False]
    assert one.pauses == pytest.approx([1.8] * 3, abs=0.05)


def test_an_answer_to_what_was_asked_is_no_pause() -> None:
    one = taker(1.0)
    one.feed(sound((VOICE, 1), (NOBODY, 1)))
    one.assistant_speaks = True
    one.feed(sound((NOBODY, 0.5)))
    one.assistant_speaks = False
    one.feed(sound((NOBODY, 0.2), (VOICE, 1)))
    assert one.pauses == []


def test_who_never_stops_has_not_paused() -> None:
    one = taker()
    one.feed(sound((VOICE, 100)))
    assert one.pauses == []


def test_silence_is_told_at_its_times_and_counts_anew_after_the_assistant() -> None:
    one = taker(quiet_after=(2.0, 4.0))
    assert [round(event.seconds) for event in one.feed(sound((NOBODY, 9))) if isinstance(event, Quiet)] == [
        2,
        4,
    ]
    one.assistant_speaks = True
    assert one.feed(sound((NOBODY, 9))) == []
    one.assistant_speaks = False
    one.wait_anew()
    assert kinds(one.feed(sound((NOBODY, 2.5)))) == ["Quiet"]


def test_a_line_that_breaks_off_in_mid_sentence_loses_no_words() -> None:
    one = taker()
    one.feed(sound((NOBODY, 1), (VOICE, 1)))
    (ended,) = one.end()
    assert isinstance(ended, Ended) and len(ended.speech) > 0.9 * HEARING_RATE and not ended.same_as_paused
    assert one.end() == []


def test_who_never_stops_is_answered_in_between() -> None:
    events = taker().feed(sound((VOICE, 100)))
    assert only(events, Ended)


def test_it_does_not_matter_in_what_pieces_the_sound_comes() -> None:
    whole = sound((NOBODY, 0.7), (VOICE, 1.3), (NOBODY, 0.5), (VOICE, 0.9), (NOBODY, 3))
    at_once = taker(0.3).feed(whole)
    one, in_pieces = taker(0.3), []
    for start in range(0, len(whole), 333):
        in_pieces += one.feed(whole[start : start + 333])
    assert [(type(event), event.at) for event in at_once] == [(type(event), event.at) for event in in_pieces]


def test_the_words_are_offered_for_reading_at_the_first_short_pause() -> None:
    events = taker(0.0).feed(sound((VOICE, 1), (NOBODY, 3)))
    paused, ended = only(events, Paused)[0], only(events, Ended)[0]
    assert ended.at - paused.at > 1.5
    assert isinstance(paused, Paused) and len(paused.speech) > HEARING_RATE * (1 - WINDOW_S)


def test_nothing_ends_before_the_words_are_known_and_then_the_less_finished_of_sound_and_words_decides() -> (
    None
):
    for words, waits in ((1.0, 0.6), (0.0, 2.5)):
        one = taker(1.0)
        one.feed(sound((VOICE, 1), (NOBODY, 0.5)))
        one.await_words()
        assert one.feed(sound((NOBODY, 1.0))) == []
        one.weigh_words(words)
        ended = only(one.feed(sound((NOBODY, 2))), Ended)[0]
        assert isinstance(ended, Ended) and ended.pause_s == pytest.approx(max(waits, 1.5), abs=0.1)


def test_words_that_never_come_end_all_the_same() -> None:
    one = taker(1.0)
    one.feed(sound((VOICE, 1), (NOBODY, 0.5)))
    one.await_words()
    assert only(one.feed(sound((NOBODY, 3))), Ended)


def test_the_first_syllable_is_not_lost_however_late_it_is_certain_that_somebody_speaks() -> None:
    one = taker()
    one.assistant_speaks = True
    events = one.feed(sound((NOBODY, 2), (0.3, 0.8), (VOICE, 1), (NOBODY, 2)))
    (ended,) = only(events, Ended)
    assert isinstance(ended, Ended) and ended.at - 2.0 < len(ended.speech) / HEARING_RATE + 0.1
