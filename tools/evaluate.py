"""Measures what the product understands on sentences nothing was trained on, and writes docs/evaluation.md.

Real Rasa and the real screen read `nlu_data/held_back`, as written and as a recogniser would mishear them, and the
public texts of `--public` where they are. Sentences are named by their id only.
"""

import argparse
import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from connectors.cli.replay import played
from connectors.root import consulting, understander
from connectors.screens import danger_screen
from connectors.settings import ROOT, Settings
from connectors.trial import own_rasa
from handoff.language.mishearing import Mishearing
from handoff.model.screening import Screening
from handoff.model.words import NEED_ZH, Need, Risk
from handoff.service.consulting import Consulting
from tools.plots import calibration_plot, confusion_plot

HELD_BACK = ROOT / "nlu_data" / "held_back"
PUBLIC = ROOT.parent / "shared" / "data" / "psysuicide" / "valid_real.jsonl"
OUT = ROOT / "docs" / "evaluation.md"
SPEECH = ROOT / "docs" / "speech.json"
_OF_SECOND_OPINION = ("danger", "danger_both", "false_alarms", "false_alarms_both")
PICTURES = ROOT / "docs" / "pictures"
MISHEARD = 0.25
AT_ONCE = 4
Row = dict[str, Any]


def share(part: int, whole: int) -> str:
    """`12 of 20 (0.60)`, shorter."""
    return f"{part / whole:.3f}" if whole else "–"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(map(str, line)) + " |" for line in lines] + [""]


def spoken_texts() -> dict[str, str]:
    """By id, what a recogniser made of the held-back sentences that `make heard` has spoken; empty before it ran."""
    path = HELD_BACK / "heard.json"
    found: dict[str, str] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return found


def as_heard(rows: list[Row], rate: float) -> list[str]:
    """The texts, misheard at `rate`, always the same way."""
    mishearing = Mishearing(77)
    return [mishearing.hear(row["text"], rate) if rate else row["text"] for row in rows]


async def needs_of(settings: Settings, texts: Sequence[Sequence[str]]) -> list[list[tuple[str, float]]]:
    """What the dialogue engine alone takes each text for, and how sure it is."""
    async with own_rasa(settings) as rasa:
        at_once = asyncio.Semaphore(AT_ONCE)
        knows = understander(settings, rasa)

        async def one(text: str) -> tuple[str, float]:
            async with at_once:
                answer = await knows.ask(text, None, channel="terminal", speaker="self")
                return answer.need, answer.confidence

        return [list(await asyncio.gather(*map(one, some))) for some in texts]


def macro_f1(truth: Sequence[str], found: Sequence[str]) -> float:
    """The mean of the needs' F1."""
    right = Counter(a for a, b in zip(truth, found, strict=True) if a == b)
    asked, said = Counter(truth), Counter(found)
    return sum(2 * right[need] / (asked[need] + said[need]) for need in asked) / len(asked)


def calibration(known: list[tuple[str, float]], truth: list[str]) -> tuple[list[list[object]], float]:
    """Rows of a reliability table, and the expected calibration error."""
    rows: list[list[object]] = []
    error = 0.0
    for low in (0.0, 0.25, 0.5, 0.75, 0.9):
        high = {0.0: 0.25, 0.25: 0.5, 0.5: 0.75, 0.75: 0.9, 0.9: 1.01}[low]
        part = [
            (sure, need == meant)
            for (need, sure), meant in zip(known, truth, strict=True)
            if low <= sure < high
        ]
        if part:
            sure, right = (sum(values) / len(part) for values in zip(*part, strict=True))
            error += abs(sure - right) * len(part) / len(known)
            rows.append([f"{low:.2f}–{min(high, 1):.2f}", len(part), f"{sure:.3f}", f"{right:.3f}"])
    return rows, error


def write_needs(rows: list[Row], clean: list[tuple[str, float]], noisy: list[tuple[str, float]]) -> list[str]:
    """The section on needs."""
    truth = [row["need"] for row in rows]
    best, heard = [need for need, _ in clean], [need for need, _ in noisy]

    def right(found: list[str], wanted: Callable[[Row], bool]) -> str:
        part = [(row["need"], need) for row, need in zip(rows, found, strict=True) if wanted(row)]
        return share(sum(a == b for a, b in part), len(part))

    accuracy, kept = right(best, lambda _: True), right(heard, lambda _: True)
    out = ["## Need: 23 classes, Rasa's own opinion of one utterance", ""]
    out += table(
        ["", "accuracy", "macro-F1"],
        [
            ["as written", accuracy, f"{macro_f1(truth, best):.3f}"],
            [f"{MISHEARD:.0%} of characters misheard", kept, f"{macro_f1(truth, heard):.3f}"],
            ["kept through mishearing", f"{float(kept) / float(accuracy):.3f}", ""],
        ],
    )
    per_need = []
    for need in Need:
        said = sum(found == need for found in best)
        hit = sum(a == b == need for a, b in zip(truth, best, strict=True))
        only = [row["need"] == need for row in rows]
        per_need.append([
            f"{need} {NEED_ZH[need]}", truth.count(need), share(hit, truth.count(need)), share(hit, said),
            share(sum(h == need for h, o in zip(heard, only, strict=True) if o), truth.count(need)),
        ])  # fmt: skip
    out += table(["need", "sentences", "recall", "precision", "recall, misheard"], per_need)
    regions = sorted({row["region"] for row in rows})
    by_region = [
        [
            r,
            right(best, lambda row, r=r: row["region"] == r),
            right(heard, lambda row, r=r: row["region"] == r),
        ]
        for r in regions
    ]
    out += table(["region", "accuracy", "misheard"], by_region)
    mixed = Counter((a, b) for a, b in zip(truth, best, strict=True) if a != b).most_common(12)
    out += ["Most often taken for another:", ""] + table(
        ["meant", "taken for", "times"], [[*k, n] for k, n in mixed]
    )
    bins, error = calibration(clean, truth)
    out += [f'How far "sure" means right (expected calibration error {error:.3f}):', ""]
    out += table(["confidence", "sentences", "mean confidence", "right"], bins)
    dots = [(float(str(sure)), float(str(hit)), int(str(count))) for _, count, sure, hit in bins]
    calibration_plot(PICTURES / "calibration.svg", dots)
    confusion_plot(PICTURES / "confusion.svg", list(Need), truth, best)
    out += ["![Confidence and share right](pictures/calibration.svg)", ""]
    out += ["![What was meant (rows) and what it was taken for](pictures/confusion.svg)", ""]
    missed = [row["id"] for row, need in zip(rows, best, strict=True) if row["need"] != need]
    return [*out, f"Missed: {' '.join(missed)}", ""]


def write_danger(rows: list[Row], screens: dict[str, Screening], about: Sequence[str]) -> list[str]:
    """A section on danger; `about`: its heading, and what is to be said of its sentences."""
    kind_of = ["everyday" if not row["danger"] else "veiled" if row["veiled"] else "plain" for row in rows]
    out = [*about, ""]
    lines, raised = [], {}
    for rate, label in ((0.0, "as written"), (MISHEARD, f"{MISHEARD:.0%} misheard")):
        texts = as_heard(rows, rate)
        for name, screen in screens.items():
            got = [finding.risk.at_least(Risk.URGENT) for finding in screen.screen_all(texts)]
            raised[name, rate] = got
            of = {kind: [g for g, k in zip(got, kind_of, strict=True) if k == kind] for kind in set(kind_of)}
            danger = of["veiled"] + of["plain"]
            lines.append([
                name, label, share(sum(danger), len(danger)), share(sum(of["veiled"]), len(of["veiled"])),
                share(sum(of["plain"]), len(of["plain"])), share(sum(of["everyday"]), len(of["everyday"])),
            ])  # fmt: skip
    out += table(["screen", "text", "recall", "veiled", "plain", "false alarms"], lines)
    last = [*screens][-1]
    got, heard = raised[last, 0.0], raised[last, MISHEARD]
    per_kind = []
    for kind in sorted({kind for row in rows for kind in row.get("kinds", [])}):
        at = [place for place, row in enumerate(rows) if kind in row.get("kinds", [])]
        missed = " ".join(rows[place]["id"] for place in at if not got[place])
        hits, through = sum(got[p] for p in at), sum(heard[p] for p in at)
        per_kind.append([kind, len(at), share(hits, len(at)), share(through, len(at)), missed])
    out += table(["kind", "sentences", "recall", "recall, misheard", "missed, as written"], per_kind)
    alarms = [row["id"] for row, g in zip(rows, got, strict=True) if g and not row["danger"]]
    return [*out, f"False alarms, as written: {' '.join(alarms)}", ""]


def write_channels(
    needs: list[Row],
    clean: list[tuple[str, float]],
    spoken: list[tuple[str, float]],
    danger: list[Row],
    screen: Screening,
) -> list[str]:
    """The section on channels: typed, and spoken down a telephone line to a real recogniser; empty without the latter."""
    heard = spoken_texts()
    if not heard:
        return []
    at = [place for place, row in enumerate(needs) if row["id"] in heard]
    truth = [needs[place]["need"] for place in at]
    typed, phoned = [clean[place][0] for place in at], [need for need, _ in spoken]
    rows = [row for row in danger if row["id"] in heard]
    of = {True: [row for row in rows if row["danger"]], False: [row for row in rows if not row["danger"]]}

    def raised(part: list[Row], text: Callable[[Row], str]) -> str:
        return share(sum(screen.screen(text(row)).risk.at_least(Risk.URGENT) for row in part), len(part))

    lines = []
    for name, found, text in (
        ("typed (WeChat, station)", typed, lambda row: row["text"]),
        ("telephone, read by Whisper", phoned, lambda row: heard[row["id"]]),
    ):
        hits = sum(a == b for a, b in zip(truth, found, strict=True))
        lines.append([
            name, share(hits, len(at)), f"{macro_f1(truth, found):.3f}", raised(of[True], text), raised(of[False], text),
        ])  # fmt: skip
    return [
        "## By channel: typed, and spoken down a telephone line", "",
        f"The same {len(at)} sentences of need and {len(rows)} of danger as typed, and as Whisper-base made them out of a synthetic voice at",
        "telephone quality (`make heard`; docs/mishearing.md says how). What was not heard at all counts as not understood.", "",
        *table(["channel", "need", "macro-F1", "danger found", "false alarms"], lines),
    ]  # fmt: skip


def write_speech(path: Path = SPEECH) -> list[str]:
    """The section on the recognisers, from what `bench speech` has found; empty before it ran."""
    if not path.is_file():
        return []
    found = json.loads(path.read_text("utf-8"))
    clips = found["clips"]
    lines = [
        [line, ear, f"{one['cer']:.3f}", *(f"{one[key]:.3f}" for key in _OF_SECOND_OPINION)]
        for line in ("clean", "telephone", "noise")
        for ear, one in found[line].items()
    ]
    return [
        "## Speech: recognisers, the field's words, second opinion", "",
        "By `xiangyin bench speech --json > docs/speech.json`: 60 everyday sentences of our own and 60 held-back ones of danger, by the",
        "eight synthetic voices at 0.8–0.9 of their speed; clean, down a telephone line (8 kHz, A-law), and down one with noise 10 dB below",
        "the voice. Second opinion: other readings of the same sound are",
        "screened too; what only they tell of counts as danger in doubt.", "",
        *table(
            ["line", "recogniser", "character errors", "danger found", "with second opinion", "false alarms", "with second opinion"],
            lines,
        ),
        "Character errors on the human Mandarin clips of `../shared/data/clips`: "
        + "; ".join(f"{ear} {rate:.3f}" for ear, rate in clips.items()) + ".", "",
    ]  # fmt: skip


def judged(conversation: Row, result: Row) -> list[str]:
    """What is wrong with the end of a conversation: of `case`, `need`, `risk`, `handoff`, `hotline`."""
    expected, case = conversation["expect"], result["case"]
    wanted, wrong = expected["case"], []
    if wanted is None and case is not None:
        wrong.append("case")
    if isinstance(wanted, dict) and not (case is None and wanted.get("may_be_none")):
        needs = {wanted["need"], *expected.get("or", [])}
        if case is None or (case["need"] not in needs and not needs & {*result.get("needs", [])}):
            wrong.append("case" if case is None else "need")
        if case is None or Risk(case["risk"]).rank < Risk(wanted["risk"]).rank:
            wrong.append("risk")
    if expected.get("handoff") in (True, False) and result["handoff"] is not expected["handoff"]:
        wrong.append("handoff")
    spoken = {"120": "一二零", "110": "一一零", "119": "一一九"}.get(str(expected.get("hotline", "")), "")
    if spoken not in "".join(result["replies"]):
        wrong.append("hotline")
    return wrong


def write_consultation(rows: list[Row], found: list[tuple[str, float]], consulting: Consulting) -> list[str]:
    """The section on answers: what is said to questions that an entry answers, and to such as none does."""
    counts: dict[str, Counter[str]] = {"known": Counter(), "of_need": Counter(), "unknown": Counter()}
    missed = []
    for row, (need, _) in zip(rows, found, strict=True):
        entry = consulting.find(row["text"], Need(need))
        if row["answer"] is None:
            counts["unknown"]["wrong" if entry else "right"] += 1
            continue
        for where, one in (
            ("known", entry),
            ("of_need", consulting.find(row["text"], Need(row["answer"].split("-")[0]))),
        ):
            fits = one is not None and one.id in (row["answer"], *row.get("or", []))
            counts[where]["right" if fits else "none" if one is None else "wrong"] += 1
        if entry is not None and entry.id != row["answer"]:
            missed.append(row["id"])
    lines = [
        [
            name,
            sum(part.values()),
            *(share(part[what], sum(part.values())) for what in ("right", "none", "wrong")),
        ]
        for name, part in (
            ("an entry answers it; need as Rasa hears it", counts["known"]),
            ("the same, need known", counts["of_need"]),
            ("no entry answers it", counts["unknown"]),
        )
    ]
    return [
        "## Answers from the knowledge base", "",
        f"{len(rows)} questions, written from the entries' names and the first words of their answers by one who did not look at their",
        "keys and ways of asking; nothing is tuned on them. Right: the fitting answer, or, where there is none, none. Without an answer",
        "the matter is asked about and goes to a person; after most answers a call back is offered.", "",
        *table(["question", "questions", "right", "no answer", "another answer"], lines),
        f"Another answer: {' '.join(missed)}", "",
    ]  # fmt: skip


async def write_conversations(settings: Settings) -> list[str]:
    """The section on whole conversations, through the real service; empty where there are none."""
    path = HELD_BACK / "conversations.yaml"
    if not path.is_file():
        return []
    rows = yaml.safe_load(path.read_text("utf-8"))
    results = [result async for result in played(settings, path)]
    wrong = {row["id"]: judged(row, result) for row, result in zip(rows, results, strict=True)}
    raised = sum(
        isinstance(row["expect"]["case"], dict) and result["case"] is not None
        and Risk(result["case"]["risk"]).rank > Risk(row["expect"]["case"]["risk"]).rank
        for row, result in zip(rows, results, strict=True)
    )  # fmt: skip
    lines = []
    for channel in ("phone", "wechat", "kiosk"):
        part = [row for row in rows if row["channel"] == channel]
        lines.append([channel, len(part), share(sum(not wrong[row["id"]] for row in part), len(part))])
    good = sum(not found for found in wrong.values())
    lines.append(["all", len(rows), share(good, len(rows))])
    missed = [f"{name} ({', '.join(found)})" for name, found in wrong.items() if found]
    return [
        "## Whole conversations", "",
        f"{len(rows)} conversations through the real service. Right: the case's need (or one that is just as right), at least the",
        "risk that was written down, handed over or not, and the number to call said. Written by one who knows the product, before",
        "any of them was run. A question that was answered need not have a case.",
        f"In {raised} the risk ended higher than what was written down as the lowest that is right.", "",
        *table(["channel", "conversations", "right"], lines), f"Not right: {'; '.join(missed)}", "",
    ]  # fmt: skip


def write_public(path: Path, screens: dict[str, Screening]) -> list[str]:
    """The section on real counselling texts; empty where they are not."""
    if not path.is_file():
        return []
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    texts, lines = [row["text"] for row in rows], []
    for name, screen in screens.items():
        got = [finding.risk.at_least(Risk.URGENT) for finding in screen.screen_all(texts)]
        yes = [g for g, row in zip(got, rows, strict=True) if row["positive"]]
        no = [g for g, row in zip(got, rows, strict=True) if not row["positive"]]
        lines.append([name, share(sum(yes), len(yes)), share(sum(no), len(no))])
    head = ["## Danger: real counselling and social-media texts of the young (PsyGUARD, MIT)", ""]
    first = f"{len(rows)} texts, {sum(row['positive'] for row in rows)} of them about suicide or self-harm; the others are mostly distress."
    return [*head, first, "", *table(["screen", "recall", "raised among the others"], lines)]


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--public", type=Path, default=PUBLIC, help="real texts to measure the screen on, if there"
    )
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    settings = Settings()
    needs = yaml.safe_load((HELD_BACK / "needs.yaml").read_text("utf-8"))
    danger = yaml.safe_load((HELD_BACK / "danger.yaml").read_text("utf-8"))
    second = yaml.safe_load((HELD_BACK / "danger_second.yaml").read_text("utf-8"))
    screens = {
        "lexicon, without the dialect table": danger_screen(None, dialect=False),
        "lexicon": danger_screen(None),
        "lexicon and classifier": danger_screen(settings.encoder),
    }
    heard = spoken_texts()
    spoken = [heard[row["id"]] or "……" for row in needs if row["id"] in heard]
    asked = yaml.safe_load((HELD_BACK / "consultation.yaml").read_text("utf-8"))
    given = [as_heard(needs, 0), as_heard(needs, MISHEARD), spoken, [row["text"] for row in asked]]
    clean, noisy, phoned, questions = asyncio.run(needs_of(settings, given))
    card = json.loads((settings.encoder / "card.json").read_text("utf-8"))
    held = card["held_out"]
    parts = [
        "# Evaluation",
        "",
        "Written by `make evaluate`. The sentences lie in `nlu_data/held_back`; who wrote them had seen neither the training",
        "sentences nor the lexicon, nobody trains on them, and who tunes does not read them. **Their figures have guided choices**",
        "though (the weight of the vector, how long texts are cut, what the classifier may let down; the last also the public",
        "texts below), so that they flatter a little; the second set for danger does so least.",
        f"{len(needs)} sentences for the needs (20 each), {len(danger)} for danger",
        "(half of the danger veiled; the everyday ones full of frightening words). Misheard: by `handoff/language/mishearing.py`, seed 77.",
        "",
        *write_needs(needs, clean, noisy),
        *write_danger(danger, screens, ["## Danger: what the screen alone raises to urgent or emergency"]),
        *write_danger(
            second,
            screens,
            [
                "## Danger, the second set",
                "",
                f"{len(second)} sentences that nothing was tuned on; they were looked at once, to decide between two encoders (decision 9). The everyday ones are as near to danger as one could think of (danger that is",
                "over, done with, denied or told of a film): most of what people say is not.",
            ],
        ),
        *write_channels(needs, clean, phoned, danger, screens["lexicon and classifier"]),
        *write_speech(),
        *write_consultation(asked, questions, consulting(settings)),
        *asyncio.run(write_conversations(settings)),
        *write_public(args.public, screens),
        "## Our own sentences, a tenth of the situations left out",
        "",
        f"By the encoder's own heads, trained on the other nine tenths: need {held['need_clean']['accuracy']:.3f} accuracy,",
        f"{held['need_noisy']['accuracy']:.3f} misheard; danger, area under the curve {held['danger_auc_clean']:.3f}, {held['danger_auc_noisy']:.3f} misheard. These sentences are written as contrast",
        "pairs and near the boundaries on purpose. `make encoder` makes them, and the thresholds that the card carries.",
        "",
    ]
    args.out.write_text("\n".join(parts), "utf-8")
    print(args.out)


if __name__ == "__main__":
    main()
