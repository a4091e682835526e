"""Trains the encoder on this project's sentences, measures it on situations it has not seen, and writes it out.

    train.py learn [--epochs 5]        learn from nine tenths of the situations, then all that `write` does
    train.py write                     measure what was learnt on the last tenth, weigh lexicon and classifier by that,
                                       and write everything
    train.py as-it-came --out FOLDER   only cut down and write it, to see what the training is worth

What was learnt is kept in --work (default ~/.cache/xiangyin/encoder).
"""

import argparse
import hashlib
import json
import random
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

from corpus import KINDS, NEEDS, Sentence, answers, examples, fingerprint, said  # noqa: E402
from net import PAD, Net, export  # noqa: E402
from pretrained import Pretrained, fetch  # noqa: E402

from handoff.language.encoder import Pieces  # noqa: E402
from handoff.language.mishearing import Mishearing  # noqa: E402
from handoff.language.ngrams import ngrams  # noqa: E402
from handoff.model.danger import DangerScreen  # noqa: E402
from handoff.model.words import Risk  # noqa: E402

RATE, HEAD_RATE, BATCH, SMOOTH = 3e-4, 2e-3, 32, 0.05
MISHEARD, FROM, TO = 0.5, 0.05, 0.4  # half of what it sees has this share of its characters misheard
BARE = 0.3  # and this much of it no punctuation, as a recogniser leaves it
AVERAGED_EVERY, KEPT = 5, 0.98  # steps, and what the mean keeps of itself: about the last 250 steps
ALARMS = 0.08  # of everyday sentences full of frightening words, at most
LONGEST_RUN = 2
HALF = torch.ops.mkldnn._is_mkldnn_bf16_supported()  # a processor without it takes twenty-five times as long
MEASURED_FOLD = 1  # this tenth of the situations only measures
MEASURED_AT = 0.25  # character errors of the noisy measurement
DOUBTED = ("veiled", "plain", "everyday")  # easy answers would flatter the share of false alarms
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

    def save(self, path: Path) -> None:
        """What was learnt, for `restore`."""
        torch.save({"net": self.net.state_dict(), "heads": self.heads.state_dict()}, path)

    def restore(self, path: Path) -> None:
        """What was learnt before."""
        states = torch.load(path, weights_only=True)
        self.net.load_state_dict(states["net"])
        self.heads.load_state_dict(states["heads"])

    def vectors(self, texts: list[str]) -> torch.Tensor:
        """(texts, size), without learning."""
        self.net.eval()
        rows = self._pieces.ids(texts)
        order = sorted(range(len(rows)), key=lambda at: len(rows[at]))
        found = torch.zeros(len(rows), self.net.word.weight.shape[1])
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=HALF):
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
        averaged = [
            AveragedModel(part, multi_avg_fn=get_ema_multi_avg_fn(KEPT)) for part in (self.net, self.heads)
        ]
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
                if done > steps // 2 and done % AVERAGED_EVERY == 0:
                    averaged[0].update_parameters(self.net)
                    averaged[1].update_parameters(self.heads)
                if done % 100 == 0:
                    print(
                        f"{done}/{steps} loss {loss.item():.2f} {time.monotonic() - begun:.0f} s", flush=True
                    )
        # The mean of the way's last part lies flatter than its end: it judges what it has not seen more evenly.
        self.net.load_state_dict(averaged[0].module.state_dict())
        self.heads.load_state_dict(averaged[1].module.state_dict())

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
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=HALF):
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


class Grams:
    """Danger by the text's characters alone: logistic regression over tf-idf of runs of one and two."""

    def __init__(self, sentences: list[Sentence]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression

        taught = [one for one in sentences if one.danger is not None]
        self._vectors = TfidfVectorizer(analyzer=lambda text: ngrams(text, LONGEST_RUN), sublinear_tf=True)
        counted = self._vectors.fit_transform([one.text for one in taught])
        self._model = LogisticRegression(C=30.0, class_weight="balanced", solver="liblinear")
        self._model.fit(counted, [bool(one.danger) for one in taught])

    def odds(self, texts: list[str]) -> np.ndarray:
        """(texts,)"""
        return np.asarray(self._model.decision_function(self._vectors.transform(texts)))

    def table(self) -> dict[str, np.ndarray | list[str]]:
        """runs: the runs of characters; idf, weight: of each; bias."""
        runs = sorted(self._vectors.vocabulary_, key=self._vectors.vocabulary_.__getitem__)
        return {
            "runs": runs,
            "idf": self._vectors.idf_.astype(np.float32),
            "weight": self._model.coef_[0].astype(np.float32),
            "bias": self._model.intercept_.astype(np.float32),
        }


def measure(
    learner: Learner, sentences: list[Sentence], lexicon: DangerScreen, grams: Grams
) -> dict[str, object]:
    """Accuracy of the need, and what heads, runs of characters and lexicon say, on sentences not learnt from."""
    from sklearn.metrics import f1_score, roc_auc_score

    asked = [one for one in sentences if one.how == "example" and one.need]
    doubted = [one for one in sentences if one.how in DOUBTED]
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
        scores = learner.scores(texts)
        odds = scores["danger"][:, 0]
        danger = np.array([bool(one.danger) for one in doubted])
        signs = np.array([_signs(lexicon, text) for text in texts])
        heads = np.column_stack([odds, grams.odds(texts), scores["need"]])
        found[f"danger_auc_{heard}"] = round(float(roc_auc_score(danger, odds)), 4)
        found[f"rows_{heard}"] = np.column_stack([heads, signs, danger]).tolist()
        found["how"] = [one.how for one in doubted]
        found["situations"] = [one.situation for one in doubted]
    return found


def _signs(lexicon: DangerScreen, text: str) -> list[float]:
    finding = lexicon.screen(text)
    levels = (Risk.EMERGENCY, Risk.URGENT, Risk.ATTENTION)
    return [*(float(finding.risk is level) for level in levels), float(finding.doubt)]


@dataclass(frozen=True)
class Weights:
    """What the parts weigh in the log-odds of danger. need: one for each of `NEEDS`; fusion: for the card."""

    danger: float
    grams: float
    need: np.ndarray
    fusion: dict[str, float]


def weigh(measured: dict[str, object]) -> Weights:
    """How heads, runs of characters and lexicon weigh together; the bias where `ALARMS` of everyday sentences raise
    an alarm. Prints what that finds, each sentence weighed by what was fitted on other situations."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    clean, noisy = (np.array(measured[f"rows_{heard}"]) for heard in ("clean", "noisy"))
    rows = np.vstack([clean, noisy])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, class_weight="balanced", max_iter=1000))
    apart = cross_val_predict(
        model, rows[:, :-1], rows[:, -1], groups=[*measured["situations"], *measured["situations"]],
        cv=GroupKFold(5), method="decision_function",
    )  # fmt: skip
    how, danger = np.array(measured["how"]), clean[:, -1] == 1
    limit = float(np.quantile(apart[: len(clean)][~danger], 1 - ALARMS))
    for kind in ("veiled", "plain", "everyday"):
        parts = [part[how == kind] > limit for part in (apart[: len(clean)], apart[len(clean) :])]
        print(f"{kind}: raised {parts[0].mean():.3f} clean, {parts[1].mean():.3f} noisy")
    model.fit(rows[:, :-1], rows[:, -1])
    factors = model[-1].coef_[0] / model[0].scale_
    # The scale of the whole is the fit's; where it starts is where the alarms are few enough.
    bias = -float(np.quantile(clean[~danger][:, :-1] @ factors, 1 - ALARMS))
    signs = dict(zip(("emergency", "urgent", "attention", "doubt"), factors[-4:], strict=True))
    fusion = {"odds": 1.0, **signs, "bias": bias}
    return Weights(
        float(factors[0]), float(factors[1]), factors[2:-4],
        {name: round(float(value), 4) for name, value in fusion.items()},
    )  # fmt: skip


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["learn", "write", "as-it-came"])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path.home() / ".cache" / "xiangyin" / "encoder")
    parser.add_argument("--out", type=Path, default=ROOT / "nlu_data" / "encoder")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    learner = Learner(args.work, args.seed)
    if args.what == "as-it-came":
        card(export(learner.net, args.out), args.out, sentences=0, epochs=0)
        return
    sentences = [*examples(), *said(), *answers()]
    taught = [one for one in sentences if one.fold != MEASURED_FOLD]
    learnt = args.work / "learnt.pt"
    if args.what == "learn":
        learner.learn(taught, args.epochs)
        learner.save(learnt)
    learner.restore(learnt)
    grams = Grams(taught)
    unseen = [one for one in sentences if one.fold == MEASURED_FOLD]
    measured = measure(learner, unseen, DangerScreen.load(ROOT / "nlu_data" / "danger"), grams)
    told = ("how", "situations", "rows_clean", "rows_noisy")
    print({name: value for name, value in measured.items() if name not in told})
    write(learner, args.out, measured, grams, args.epochs, len(taught))


def write(
    learner: Learner, folder: Path, measured: dict[str, object], grams: Grams, epochs: int, sentences: int
) -> None:
    """The encoder, its pieces, its heads, the runs of characters, and the card that says what they are."""
    model, weights = export(learner.net, folder), weigh(measured)
    head = {
        name: (learner.heads[name].weight.detach().numpy(), learner.heads[name].bias.detach().numpy())
        for name in HEADS
    }
    # The needs' heads and the danger's are linear in the same vector: what they weigh together is one head.
    danger = [weights.danger * head["danger"][part][0] + weights.need @ head["need"][part] for part in (0, 1)]
    table = grams.table()
    np.savez_compressed(
        folder / "heads.npz", danger_weight=danger[0].astype(np.float32), danger_bias=np.float32(danger[1]),
        kind_weight=head["kind"][0], kind_bias=head["kind"][1], runs=np.array(table["runs"]), idf=table["idf"],
        run_weight=np.float32(weights.grams) * table["weight"], run_bias=np.float32(weights.grams * table["bias"][0]),
    )  # fmt: skip
    held_out = {key: value for key, value in measured.items() if key.startswith(("need", "danger"))}
    card(model, folder, sentences=sentences, epochs=epochs, danger=weights.fusion, held_out=held_out)


def card(model: Path, folder: Path, *, sentences: int, epochs: int, **more: object) -> None:
    """What says which encoder it is; the product checks the file against it."""
    about = {
        "name": "multilingual-e5-small (MIT), its vocabulary cut to Chinese, tuned on nlu_data, eight bits",
        "sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "data": fingerprint(),
        "sentences": sentences,
        "epochs": epochs,
        "kinds": list(KINDS),
        **more,
    }
    (folder / "card.json").write_text(json.dumps(about, ensure_ascii=False, indent=1) + "\n", "utf-8")
    print(f"{folder}: {sum(path.stat().st_size for path in folder.iterdir()) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
