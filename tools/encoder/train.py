"""Trains the encoder on this project's sentences, measures it on situations it has not seen, and writes it out.

    train.py fold [--fold 1] [--epochs 6]   learn from four fifths of the situations, measure on the last fifth
    train.py final [--epochs 6]             learn from all, weigh lexicon and classifier by the fold, write everything

Both keep what they made in --work (default ~/.cache/xiangyin/encoder); `final` wants a fold's results there.
"""

import argparse
import hashlib
import json
import random
import re
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

from corpus import KINDS, NEEDS, Sentence, examples, fingerprint, said  # noqa: E402
from net import PAD, Net, export  # noqa: E402
from pretrained import Pretrained, fetch  # noqa: E402

from handoff.language.encoder import Pieces  # noqa: E402
from handoff.language.mishearing import Mishearing  # noqa: E402
from handoff.model.danger import DangerScreen  # noqa: E402
from handoff.model.words import Risk  # noqa: E402

RATE, HEAD_RATE, BATCH, SMOOTH = 3e-4, 2e-3, 32, 0.05
MISHEARD, FROM, TO = 0.5, 0.05, 0.4  # half of what it sees has this share of its characters misheard
BARE = 0.3  # and this much of it no punctuation, as a recogniser leaves it
ALARMS = 0.08  # of everyday sentences full of frightening words, at most
MEASURED_AT = 0.25  # character errors of the noisy measurement
HEADS = {"need": len(NEEDS), "danger": 1, "kind": len(KINDS)}


class Learner:
    """The network, its heads, and one run of training."""

    def __init__(self, work: Path, seed: int) -> None:
        torch.manual_seed(seed)
        random.seed(seed)
        torch.set_num_threads(2)
        self.net = Net(Pretrained(fetch(work)))
        size = self.net.word.weight.shape[1]
        self.heads = nn.ModuleDict({name: nn.Linear(size, wide) for name, wide in HEADS.items()})
        self._pieces = Pieces(self.net.pieces)
        self._mishearing = Mishearing(seed)

    def vectors(self, texts: list[str]) -> torch.Tensor:
        """(texts, size), without learning."""
        self.net.eval()
        rows = self._pieces.ids(texts)
        order = sorted(range(len(rows)), key=lambda at: len(rows[at]))
        found = torch.zeros(len(rows), self.net.word.weight.shape[1])
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            for start in range(0, len(order), 64):
                part = order[start : start + 64]
                found[part] = self.net(_batch([rows[at] for at in part])).float()
        return found

    def scores(self, texts: list[str]) -> dict[str, np.ndarray]:
        """Each head's scores: (texts, its width)."""
        vectors = self.vectors(texts)
        with torch.no_grad():
            return {name: head(vectors).numpy() for name, head in self.heads.items()}

    def learn(self, sentences: list[Sentence], epochs: int) -> None:
        """Trains on `sentences`; prints where it is."""
        counts = Counter(sentence.need for sentence in sentences if sentence.need)
        weights = torch.tensor([(max(counts.values()) / max(counts[need], 1)) ** 0.5 for need in NEEDS])
        groups = [
            {"params": self.net.parameters(), "lr": RATE},
            {"params": self.heads.parameters(), "lr": HEAD_RATE},
        ]
        optimizer = torch.optim.AdamW(groups, weight_decay=0.01, betas=(0.9, 0.98))
        steps = epochs * -(-len(sentences) // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, [RATE, HEAD_RATE], total_steps=steps + 1, pct_start=0.1, anneal_strategy="linear"
        )
        begun, done = time.monotonic(), 0
        for _ in range(epochs):
            for part in self._batches(sentences):
                loss = self._loss(part, weights)
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                done += 1
                if done % 100 == 0:
                    print(
                        f"{done}/{steps} loss {loss.item():.2f} {time.monotonic() - begun:.0f} s", flush=True
                    )

    def _batches(self, sentences: list[Sentence]) -> list[list[tuple[list[int], Sentence]]]:
        rows = random.sample(sentences, len(sentences))
        ids = self._pieces.ids([self._as_heard(sentence.text) for sentence in rows])
        # Like lengths together, but only within twenty batches: otherwise a batch holds one kind of sentence.
        order = sorted(range(len(rows)), key=lambda at: (at // (BATCH * 20), len(ids[at])))
        batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
        random.shuffle(batches)
        return [[(ids[at], rows[at]) for at in part] for part in batches]

    def _as_heard(self, text: str) -> str:
        if random.random() < MISHEARD:  # noqa: S311
            text = self._mishearing.hear(text, random.uniform(FROM, TO))  # noqa: S311
        if random.random() < BARE:  # noqa: S311
            text = re.sub(r"[，。？！、,.?! ]", lambda _: random.choice(["", " "]), text)  # noqa: S311
        return text

    def _loss(self, part: list[tuple[list[int], Sentence]], weights: torch.Tensor) -> torch.Tensor:
        self.net.train()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            vectors = self.net(_batch([ids for ids, _ in part]))
        vectors = functional.dropout(vectors.float(), 0.1)
        sentences = [sentence for _, sentence in part]
        loss = vectors.sum() * 0
        need = [at for at, one in enumerate(sentences) if one.need]
        if need:
            meant = torch.tensor([NEEDS.index(sentences[at].need or "") for at in need])
            found = self.heads["need"](vectors[need])
            loss = loss + functional.cross_entropy(found, meant, weight=weights, label_smoothing=SMOOTH)
        danger = [at for at, one in enumerate(sentences) if one.danger is not None]
        if danger:
            truth = torch.tensor([float(bool(sentences[at].danger)) for at in danger])
            found = self.heads["danger"](vectors[danger])[:, 0]
            soft = truth * (1 - SMOOTH) + SMOOTH / 2
            loss = loss + 1.5 * functional.binary_cross_entropy_with_logits(found, soft)
        kinds = [at for at, one in enumerate(sentences) if one.kinds is not None]
        if kinds:
            has = torch.tensor(
                [[float(kind in (sentences[at].kinds or ())) for kind in KINDS] for at in kinds]
            )
            found = self.heads["kind"](vectors[kinds])
            loss = loss + functional.binary_cross_entropy_with_logits(found, has)
        return loss


def _batch(rows: list[list[int]]) -> torch.Tensor:
    ids = torch.full((len(rows), max(map(len, rows))), PAD, dtype=torch.long)
    for at, row in enumerate(rows):
        ids[at, : len(row)] = torch.tensor(row)
    return ids


def measure(learner: Learner, sentences: list[Sentence], lexicon: DangerScreen) -> dict[str, object]:
    """Accuracy of the need, and what the danger head and the lexicon say, on sentences not learnt from."""
    from sklearn.metrics import f1_score, roc_auc_score

    asked = [one for one in sentences if one.how == "example" and one.need]
    doubted = [one for one in sentences if one.how != "example"]
    found: dict[str, object] = {"sentences": len(sentences)}
    for heard in ("clean", "noisy"):
        mishearing = Mishearing(77)

        def as_heard(text: str, heard: str = heard, mishearing: Mishearing = mishearing) -> str:
            return text if heard == "clean" else mishearing.hear(text, MEASURED_AT)

        best = learner.scores([as_heard(one.text) for one in asked])["need"].argmax(1)
        truth = [NEEDS.index(one.need or "") for one in asked]
        found[f"need_{heard}"] = {
            "accuracy": round(float((best == truth).mean()), 4),
            "macro_f1": round(float(f1_score(truth, best, average="macro")), 4),
        }
        texts = [as_heard(one.text) for one in doubted]
        odds = learner.scores(texts)["danger"][:, 0]
        danger = np.array([bool(one.danger) for one in doubted])
        signs = np.array([_signs(lexicon, text) for text in texts])
        found[f"danger_auc_{heard}"] = round(float(roc_auc_score(danger, odds)), 4)
        found[f"rows_{heard}"] = np.column_stack([odds, signs, danger]).tolist()
        found["how"] = [one.how for one in doubted]
    return found


def _signs(lexicon: DangerScreen, text: str) -> list[float]:
    finding = lexicon.screen(text)
    levels = (Risk.EMERGENCY, Risk.URGENT, Risk.ATTENTION)
    return [*(float(finding.risk is level) for level in levels), float(finding.doubt)]


def weigh(measured: dict[str, object]) -> dict[str, float]:
    """How lexicon and classifier weigh together; the bias where `ALARMS` of everyday sentences raise an alarm."""
    from sklearn.linear_model import LogisticRegression

    clean, noisy = (np.array(measured[f"rows_{heard}"]) for heard in ("clean", "noisy"))
    rows = np.vstack([clean, noisy])
    model = LogisticRegression(C=1.0, class_weight="balanced").fit(rows[:, :-1], rows[:, -1])
    weights = dict(zip(("odds", "emergency", "urgent", "attention", "doubt"), model.coef_[0], strict=True))
    everyday = clean[clean[:, -1] == 0][:, :-1] @ model.coef_[0]
    weights["bias"] = -float(np.quantile(everyday, 1 - ALARMS))
    how = np.array(measured["how"])
    raised = clean[:, :-1] @ model.coef_[0] + weights["bias"] > 0
    raised_noisy = noisy[:, :-1] @ model.coef_[0] + weights["bias"] > 0
    for kind in ("veiled", "plain", "everyday"):
        print(
            f"{kind}: raised {raised[how == kind].mean():.3f} clean, {raised_noisy[how == kind].mean():.3f} noisy"
        )
    return {name: round(float(value), 4) for name, value in weights.items()}


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["fold", "final"])
    parser.add_argument(
        "--fold", type=int, default=1, help="which fifth of the situations to measure on, 1 to 5"
    )
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path.home() / ".cache" / "xiangyin" / "encoder")
    parser.add_argument("--out", type=Path, default=ROOT / "nlu_data" / "encoder")
    args = parser.parse_args()
    sentences = [*examples(), *said()]
    args.work.mkdir(parents=True, exist_ok=True)
    kept = args.work / f"fold-{args.fold}.json"
    if args.what == "fold":
        learner = Learner(args.work, args.seed)
        learner.learn([one for one in sentences if one.fold != args.fold], args.epochs)
        torch.save(
            {"net": learner.net.state_dict(), "heads": learner.heads.state_dict()},
            args.work / f"fold-{args.fold}.pt",
        )
        lexicon = DangerScreen.load(ROOT / "nlu_data" / "danger")
        measured = measure(learner, [one for one in sentences if one.fold == args.fold], lexicon)
        kept.write_text(json.dumps(measured), "utf-8")
        print({name: value for name, value in measured.items() if name != "how" and "rows" not in name})
        print(weigh(measured))
        return
    if not kept.is_file():
        sys.exit(f"{kept} is missing: run `train.py fold` first; its measurement sets the thresholds")
    learner = Learner(args.work, args.seed)
    learner.learn(sentences, args.epochs)
    write(learner, args.out, json.loads(kept.read_text("utf-8")), args.epochs, len(sentences))


def write(learner: Learner, folder: Path, measured: dict[str, object], epochs: int, sentences: int) -> None:
    """The encoder, its pieces, its heads, and the card that says what they are."""
    model = export(learner.net, folder)
    heads = {
        f"{name}_{part}": getattr(learner.heads[name], part).detach().numpy()
        for name in ("danger", "kind")
        for part in ("weight", "bias")
    }
    np.savez(folder / "heads.npz", **heads)
    card = {
        "name": "multilingual-e5-small (MIT), its vocabulary cut to Chinese, tuned on nlu_data, eight bits",
        "sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "data": fingerprint(),
        "sentences": sentences,
        "epochs": epochs,
        "kinds": list(KINDS),
        "danger": weigh(measured),
        "held_out": {key: value for key, value in measured.items() if key.startswith(("need", "danger"))},
    }
    (folder / "card.json").write_text(json.dumps(card, ensure_ascii=False, indent=1) + "\n", "utf-8")
    print(f"{folder}: {sum(path.stat().st_size for path in folder.iterdir()) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
