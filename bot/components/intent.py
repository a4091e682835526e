"""Understands one utterance: character n-grams under a linear classifier, for text without word breaks."""

import json
import unicodedata
from dataclasses import dataclass
from typing import Any

import numpy as np
from rasa.engine.graph import ExecutionContext, GraphComponent
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.nlu.classifiers.classifier import IntentClassifier
from rasa.shared.nlu.constants import INTENT, TEXT
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData

EDGE = "^"


def plain(text: str) -> str:
    """The text as the n-grams see it: one width, lower case, letters and digits only, `^` at each break."""
    kept = (ch if ch.isalnum() else EDGE for ch in unicodedata.normalize("NFKC", text).casefold())
    words = "".join("0" if ch.isdigit() else ch for ch in kept)
    return EDGE + EDGE.join(filter(None, words.split(EDGE))) + EDGE


def ngrams(text: str, longest: int) -> list[str]:
    """All runs of 1 to `longest` characters, repeats included."""
    line = plain(text)
    return [
        line[start : start + size]
        for size in range(1, longest + 1)
        for start in range(len(line) - size + 1)
        if line[start : start + size] != EDGE
    ]


@dataclass
class Head:
    """A linear classifier over the n-grams: shares of `names` are softmax(scale * (x @ weights + bias)).

    weights: float32, (n-grams, names); bias: float32, (names,).
    """

    names: list[str]
    weights: np.ndarray
    bias: np.ndarray
    scale: float = 1.0

    def shares(self, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
        """One probability for each name, for a text of the n-grams `rows` with tf-idf `values`."""
        scores = self.scale * (self.bias + values @ self.weights[rows])
        odds = np.exp(scores - scores.max())
        return odds / odds.sum()


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.INTENT_CLASSIFIER, is_trainable=True)
class CharNgramClassifier(GraphComponent, IntentClassifier):
    """Logistic regression over tf-idf of character n-grams: first the need, then the kind of talk.

    In two steps, because twelve kinds of talk in one list would together outweigh every need in doubt.
    Beside it, a classifier of its own says how much the text looks like an answer to a form's question.
    Persisted as a word list and arrays, so that answering needs neither scikit-learn nor pickles.
    """

    @staticmethod
    def get_default_config() -> dict[str, Any]:
        """`longest`: characters in an n-gram; `c`: inverse strength of the L2 penalty; `grouped`: a prefix
        whose intents are one need together; `answer`: the intent that is none, but the form's answers.
        """
        return {"longest": 2, "c": 30.0, "grouped": "talk_", "answer": "answer"}

    def __init__(self, config: dict[str, Any], storage: ModelStorage, resource: Resource) -> None:
        self._longest = int(config["longest"])
        self._c = float(config["c"])
        self._grouped = str(config["grouped"])
        self._answer = str(config["answer"])
        self._storage = storage
        self._resource = resource
        self._index: dict[str, int] = {}
        self._idf = np.zeros(0, np.float32)
        self._needs = Head([], np.zeros((0, 0)), np.zeros(0))
        self._kinds: Head | None = None
        self._answers: Head | None = None

    @classmethod
    def create(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
    ) -> "CharNgramClassifier":
        """An untrained classifier."""
        return cls(config, model_storage, resource)

    @classmethod
    def load(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
        **_kwargs: Any,
    ) -> "CharNgramClassifier":
        """The classifier as it was persisted; raises ValueError, KeyError or OSError when it is damaged."""
        loaded = cls(config, model_storage, resource)
        with model_storage.read_from(resource) as folder:
            names = json.loads((folder / "names.json").read_text("utf-8"))
            with np.load(folder / "weights.npz", allow_pickle=False) as arrays:
                kept = dict(arrays)
        loaded._index = {gram: at for at, gram in enumerate(names["ngrams"])}
        loaded._idf = kept["idf"]
        heads = {
            part: Head(names[part], kept[part], kept[f"{part}_bias"], float(kept[f"{part}_scale"]))
            for part in names["heads"]
        }
        loaded._needs = heads["needs"]
        loaded._kinds, loaded._answers = heads.get("kinds"), heads.get("answers")
        return loaded

    def train(self, training_data: TrainingData) -> Resource:
        """Learns from the examples that carry an intent."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        examples = [m for m in training_data.intent_examples if m.get(TEXT)]
        intents = np.array([m.get(INTENT) for m in examples])
        needs = np.array([self._need(intent) for intent in intents])
        vectors = TfidfVectorizer(analyzer=lambda text: ngrams(text, self._longest), sublinear_tf=True)
        found = vectors.fit_transform(m.get(TEXT) for m in examples)
        self._index = {gram: int(at) for gram, at in vectors.vocabulary_.items()}
        self._idf = vectors.idf_.astype(np.float32)
        is_answer = intents == self._answer
        self._needs = self._fit(found[~is_answer], needs[~is_answer])
        self._needs.scale = self._fit_scale(found[~is_answer], needs[~is_answer])
        grouped = needs != intents
        if len(set(intents[grouped])) > 2:
            self._kinds = self._fit(found[grouped], intents[grouped])
        if is_answer.any():
            self._answers = self._fit(found, np.where(is_answer, self._answer, ""))
        self._persist()
        return self._resource

    def _need(self, intent: str) -> str:
        return self._grouped.rstrip("_") if intent.startswith(self._grouped) else intent

    def _model(self) -> Any:
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(C=self._c, class_weight="balanced", solver="liblinear")

    def _fit(self, found: Any, labels: np.ndarray) -> Head:
        model = self._model().fit(found, labels)
        weights, bias = model.coef_.T, model.intercept_
        if len(model.classes_) == 2:
            # One column for two classes: the other's score is none, so that softmax is the logistic function.
            weights, bias = np.hstack([0 * weights, weights]), np.array([0.0, bias[0]])
        kept = np.ascontiguousarray(weights, dtype=np.float32)
        return Head([str(name) for name in model.classes_], kept, bias.astype(np.float32))

    def _fit_scale(self, found: Any, labels: np.ndarray) -> float:
        """The factor on the scores that makes shares mean probabilities on sentences not trained on."""
        from scipy.optimize import minimize_scalar
        from sklearn.model_selection import StratifiedKFold, cross_val_predict

        names, at = np.unique(labels, return_inverse=True)
        folds = min(3, int(np.bincount(at).min()))
        if folds < 2 or len(names) < 3:
            return 1.0
        split = StratifiedKFold(folds, shuffle=True, random_state=0)
        scores = cross_val_predict(self._model(), found, labels, cv=split, method="decision_function")

        def surprise(scale: float) -> float:
            shifted = scale * (scores - scores.max(axis=1, keepdims=True))
            return float(np.mean(np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(at)), at]))

        return float(minimize_scalar(surprise, bounds=(0.2, 10.0), method="bounded").x)

    def _persist(self) -> None:
        all_heads = {"needs": self._needs, "kinds": self._kinds, "answers": self._answers}
        heads = {part: head for part, head in all_heads.items() if head}
        names: dict[str, Any] = {part: head.names for part, head in heads.items()}
        names |= {"heads": list(heads), "ngrams": sorted(self._index, key=self._index.__getitem__)}
        arrays = {"idf": self._idf}
        for part, head in heads.items():
            arrays |= {part: head.weights, f"{part}_bias": head.bias, f"{part}_scale": np.float32(head.scale)}
        with self._storage.write_to(self._resource) as folder:
            (folder / "names.json").write_text(json.dumps(names, ensure_ascii=False), "utf-8")
            np.savez(folder / "weights.npz", **arrays)

    def _vector(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        seen = [at for gram in ngrams(text, self._longest) if (at := self._index.get(gram)) is not None]
        rows, counts = np.unique(np.array(seen, dtype=np.int64), return_counts=True)
        values = (1 + np.log(counts)) * self._idf[rows]
        return rows, values / (np.linalg.norm(values) or 1.0)

    def shares(self, text: str) -> tuple[dict[str, float], float]:
        """The probability of each intent (the needs' own prior when no n-gram is known), and of an answer."""
        vector = self._vector(text)
        shares = dict(zip(self._needs.names, self._needs.shares(*vector).tolist(), strict=True))
        if self._kinds:
            whole = shares.pop(self._grouped.rstrip("_"))
            parts = self._kinds.shares(*vector).tolist()
            shares |= {name: whole * part for name, part in zip(self._kinds.names, parts, strict=True)}
        answer = 0.0
        if self._answers:
            answer = float(self._answers.shares(*vector)[self._answers.names.index(self._answer)])
        return shares, answer

    def process(self, messages: list[Message]) -> list[Message]:
        """Adds `intent`, the whole `intent_ranking` and `answer_share` to each message."""
        for message in messages:
            shares, answer = self.shares(message.get(TEXT) or "")
            best_first = sorted(shares, key=shares.__getitem__, reverse=True)
            ranking = [{"name": name, "confidence": shares[name]} for name in best_first]
            message.set(INTENT, ranking[0], add_to_output=True)
            message.set("intent_ranking", ranking, add_to_output=True)
            message.set("answer_share", answer, add_to_output=True)
        return messages

    def process_training_data(self, training_data: TrainingData) -> TrainingData:
        """Nothing after this component needs its opinion of the examples."""
        return training_data
