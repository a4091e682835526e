"""How well speech is read: character errors of each recogniser and of both, and danger found by what else it may have been.

Human clips (where `../shared/data/clips` lies beside the checkout) and our own sentences by synthetic voices, at an old
person's pace: clean, down a telephone line, and down one with noise 10 dB below the voice. Without and with the field's words in
Whisper's prompt, without and with the second opinion.
"""

import csv
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from connectors.bench.sentences import everyday
from connectors.bench.voice import CLIPS
from connectors.cli.speech import model_store
from connectors.screens import danger_screen
from connectors.settings import ROOT, Settings
from handoff.model.screening import Screening
from handoff.model.words import Risk
from voice.audio import Sound, decode
from voice.choice import build, engines_present
from voice.heard_text import tidy, words_only
from voice.kokoro import RATE, Kokoro
from voice.recognise import Recogniser, Transcript
from voice.second_opinion import SecondOpinion
from voice.speech_text import speakable
from voice.telephone import over_telephone

EVERYDAY, DANGER = 60, 60
FIELD_WORDS = "医保，低保，养老金，社工，村医，降压药，农药，报销，慢病卡，老伴，孙娃，青石村，柳树坪"
"""What the product does not tell Whisper, because of what this measures (decision 16)."""
PACES = (0.8, 0.9)
NOISE_DB = 10.0
_HELD_BACK = ROOT / "nlu_data" / "held_back" / "danger.yaml"


@dataclass(frozen=True)
class Meant:
    """Something said, and what it meant."""

    sound: Sound
    text: str
    danger: bool | None = None


@dataclass
class Tally:
    """Characters meant and edited; danger found by the reading itself, and by it and the others."""

    meant: int = 0
    edits: int = 0
    found: list[int] = field(default_factory=lambda: [0, 0])
    raised: list[int] = field(default_factory=lambda: [0, 0])

    @property
    def rate(self) -> float:
        """Character errors as a fraction of the characters meant."""
        return self.edits / max(self.meant, 1)


def bench_speech(settings: Settings, say: Callable[[str], None]) -> dict[str, Any]:
    """`{"clips": {ear: rate}, "clean" | "telephone" | "noise": {ear: {"cer", "danger", "danger_both", …}}}`, as fractions."""
    store = model_store(settings)
    present = engines_present(store)
    ears = {name: build(store, model) for name, model in present.items()}
    if len(ears) > 1:
        first, other = [*ears.values()][:2]
        ears["both"] = SecondOpinion(first, other, always=True)
    if "whisper" in present:
        ears["whisper, told the field's words"] = build(store, present["whisper"], FIELD_WORDS)
    screen = danger_screen(settings.encoder)
    result: dict[str, Any] = {"clips": {}}
    say(f"真人录音 {len(_clips())} 段……")
    for name, ear in ears.items():
        result["clips"][name] = round(_read(ear, _clips(), screen).rate, 4)
    spoken = [*_spoken(Kokoro(store.path("kokoro-zh")), say)]
    for line, through in _LINES.items():
        sounds = [Meant(through(one.sound, at), one.text, one.danger) for at, one in enumerate(spoken)]
        result[line] = {}
        for name, ear in ears.items():
            tally = _read(ear, sounds, screen)
            result[line][name] = {
                "cer": round(tally.rate, 4),
                "danger": tally.found[0] / DANGER, "danger_both": tally.found[1] / DANGER,
                "false_alarms": tally.raised[0] / EVERYDAY, "false_alarms_both": tally.raised[1] / EVERYDAY,
            }  # fmt: skip
            say(f"{line} {name}：错字 {tally.rate:.1%}")
    return result


_LINES: dict[str, Callable[[Sound, int], Sound]] = {
    "clean": lambda sound, _seed: sound,
    "telephone": lambda sound, seed: over_telephone(sound, seed=seed),
    "noise": lambda sound, seed: over_telephone(sound, noise_db=NOISE_DB, seed=seed),
}


def _clips() -> list[Meant]:
    """The Mandarin ones."""
    if not (CLIPS / "clips.tsv").is_file():
        return []
    with (CLIPS / "clips.tsv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["dialect"] == "mandarin"]
    return [Meant(decode(CLIPS / row["file"]), row["transcript"]) for row in rows]


def _spoken(kokoro: Kokoro, say: Callable[[str], None]) -> Iterator[Meant]:
    held_back = yaml.safe_load(_HELD_BACK.read_text("utf-8"))
    dangers = [row["text"] for row in held_back if row["danger"]]
    draw = random.Random(13)  # noqa: S311  # a fixed order, not a secret
    texts = [(text, False) for text in everyday(EVERYDAY, seed=13)]
    texts += [(text, True) for text in draw.sample(dangers, DANGER)]
    for at, (text, danger) in enumerate(texts, 1):
        voice, pace = draw.choice(kokoro.voices), draw.choice(PACES)
        yield Meant(Sound(kokoro.speak(speakable(text), voice, pace), RATE), text, danger)
        if at % 20 == 0:
            say(f"合成 {at}/{len(texts)} 句")


def _read(ear: Recogniser, sounds: Sequence[Meant], screen: Screening) -> Tally:
    tally = Tally()
    for one in sounds:
        heard = ear.transcribe(one.sound)
        meant = words_only(tidy(one.text))
        tally.meant += len(meant)
        tally.edits += edits(meant, words_only(heard.text))
        if one.danger is not None:
            counted = tally.found if one.danger else tally.raised
            for which, is_raised in enumerate(_raised(screen, heard)):
                counted[which] += is_raised
    return tally


def _raised(screen: Screening, heard: Transcript) -> tuple[bool, bool]:
    alone = screen.screen(heard.text, confidence=heard.confidence)
    both = screen.screen_heard(heard.text, heard.others, confidence=heard.confidence)
    return alone.risk.at_least(Risk.URGENT), both.risk.at_least(Risk.URGENT)


def edits(meant: str, heard: str) -> int:
    """Characters to put in, take out or change (Levenshtein)."""
    row: list[int] = [*range(len(heard) + 1)]
    for at, char in enumerate(meant, 1):
        before, row[0] = row[0], at
        for n, other in enumerate(heard, 1):
            before, row[n] = row[n], min(row[n] + 1, row[n - 1] + 1, before + (char != other))
    return row[-1]
