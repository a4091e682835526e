"""Understands one utterance: two linear classifiers, of its character n-grams and of its vector, added up."""

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from rasa.engine.graph import ExecutionContext, GraphComponent
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.nlu.classifiers.classifier import IntentClassifier
from rasa.shared.nlu.constants import INTENT, TEXT
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData

from components.dialect import as_meant
from handoff.language.ngrams import ngrams

ARRAYS = ("weights", "dense", "bias")


@dataclass
class Head:
    """A linear classifier over n-grams and a vector: shares of `names` are softmax(scale * scores).

    weights: float32, (n-grams, names); dense: float32, (vector's size or 0, names); bias: float32, (names,).
    """

    names: list[str]
    weights: np.ndarray
    dense: np.ndarray
    bias: np.ndarray
    scale: float = 1.0

    def shares(self, text: "Features") -> np.ndarray:
        """One probability for each name."""
        scores = self.bias + text.values @ self.weights[text.rows]
        if len(self.dense):
            scores = scores + text.vector @ self.dense
        odds = np.exp(self.scale * (scores - scores.max()))
        return odds / odds.sum()


class Features(NamedTuple):
    """One text: which n-grams of the vocabulary it holds, their tf-idf, and its vector (empty without one)."""

    rows: np.ndarray
    values: np.ndarray
    vector: np.ndarray


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.INTENT_CLASSIFIER, is_trainable=True)
class NeedClassifier(GraphComponent, IntentClassifier):
    """Logistic regression over tf-idf of the text's n-grams, and another over its vector: first the need, then the
    kind of talk.

    The two are fitted apart and their scores added, because the encoder has learnt from the same examples: fitted
    together its vector explains them all, and nothing is left for the n-grams to learn (bot/README.md has the figures).
    In two steps, because twelve kinds of talk in one list would together outweigh every need in doubt.
    Beside it, a classifier of its own says how much the text looks like an answer to a form's question.
    Persisted as a word list and arrays, so that answering needs neither scikit-learn nor pickles.
    """

    @staticmethod
    def get_default_config() -> dict[str, Any]:
        """`longest`: characters in an n-gram; `c`, `c_vector`: inverse strength of the L2 penalties; `vector`:
        what the vector's scores weigh beside the n-grams'; `scale`: makes shares probabilities (0: fitted on held-out folds,
        right only for features that have not seen the examples); `grouped`: a prefix whose intents are one need
        together; `answer`: the intent that is none, but the form's answers.
        """
        return {
            "longest": 2,
            "c": 30.0,
            "c_vector": 10.0,
            "vector": 0.3,
            "scale": 0.0,
            "grouped": "talk_",
            "answer": "answer",
        }

    def __init__(self, config: dict[str, Any], storage: ModelStorage, resource: Resource) -> None:
        self._longest = int(config["longest"])
        self._c = float(config["c"])
        self._c_vector = float(config["c_vector"])
        self._vector_weight = float(config["vector"])
        self._scale = float(config["scale"])
        self._grouped = str(config["grouped"])
        self._answer = str(config["answer"])
        self._storage = storage
        self._resource = resource
        self._index: dict[str, int] = {}
        self._idf = np.zeros(0, np.float32)
        self._heads: dict[str, Head] = {}

    @classmethod
    def required_components(cls) -> list[type]:
        """None: without a featurizer before it, it goes by the n-grams alone."""
        return []

    @classmethod
    def create(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
    ) -> "NeedClassifier":
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
    ) -> "NeedClassifier":
        """The classifier as it was persisted; raises ValueError, KeyError or OSError when it is damaged."""
        loaded = cls(config, model_storage, resource)
        with model_storage.read_from(resource) as folder:
            names = json.loads((folder / "names.json").read_text("utf-8"))
            with np.load(folder / "weights.npz", allow_pickle=False) as arrays:
                kept = dict(arrays)
        loaded._index = {gram: at for at, gram in enumerate(names["ngrams"])}
        loaded._idf = kept["idf"]
        loaded._heads = {
            part: Head(
                names[part], *(kept[f"{part}_{array}"] for array in ARRAYS), float(kept[f"{part}_scale"])
            )
            for part in names["heads"]
        }
        return loaded

    def train(self, training_data: TrainingData) -> Resource:
        """Learns from the examples that carry an intent."""
        examples = [m for m in training_data.intent_examples if m.get(TEXT)]
        intents = np.array([m.get(INTENT) for m in examples])
        needs = np.array([self._need(intent) for intent in intents])
        found = self._learn_features(examples)
        dense = np.array([_vector_of(message) for message in examples])
        is_answer = intents == self._answer
        asks = ~is_answer
        self._heads = {"needs": self._fit(found[asks], dense[asks], needs[asks])}
        self._heads["needs"].scale = self._scale or self._fit_scale(found[asks], dense[asks], needs[asks])
        grouped = needs != intents
        if len(set(intents[grouped])) > 2:
            self._heads["kinds"] = self._fit(found[grouped], dense[grouped], intents[grouped])
        if is_answer.any():
            self._heads["answers"] = self._fit(found, dense, np.where(is_answer, self._answer, ""))
        self._persist()
        return self._resource

    def _learn_features(self, examples: list[Message]) -> Any:
        """The tf-idf of the examples' n-grams, a sparse matrix of float64."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectors = TfidfVectorizer(analyzer=self.grams, sublinear_tf=True)
        found = vectors.fit_transform(as_meant(m) for m in examples)
        self._index = {gram: int(at) for gram, at in vectors.vocabulary_.items()}
        self._idf = vectors.idf_.astype(np.float32)
        return found

    def grams(self, text: str) -> list[str]:
        """What is counted of a text."""
        return ngrams(text, self._longest)

    def _need(self, intent: str) -> str:
        return self._grouped.rstrip("_") if intent.startswith(self._grouped) else intent

    def _model(self, c: float) -> Any:
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(C=c, class_weight="balanced", solver="liblinear")

    def _fit(self, found: Any, dense: np.ndarray, labels: np.ndarray) -> Head:
        names, weights, bias = self._fit_part(found, labels, self._c)
        if not dense.shape[1]:
            return Head(names, weights, np.zeros((0, len(names)), np.float32), bias)
        _, dense_weights, dense_bias = self._fit_part(dense, labels, self._c_vector)
        share = np.float32(self._vector_weight)
        return Head(names, weights, share * dense_weights, bias + share * dense_bias)

    def _fit_part(self, found: Any, labels: np.ndarray, c: float) -> tuple[list[str], np.ndarray, np.ndarray]:
        model = self._model(c).fit(found, labels)
        weights, bias = model.coef_.T, model.intercept_
        if len(model.classes_) == 2:
            # One column for two classes: the other's score is none, so that softmax is the logistic function.
            weights, bias = np.hstack([0 * weights, weights]), np.array([0.0, bias[0]])
        names = [str(name) for name in model.classes_]
        return names, np.ascontiguousarray(weights, dtype=np.float32), bias.astype(np.float32)

    def _fit_scale(self, found: Any, dense: np.ndarray, labels: np.ndarray) -> float:
        """The factor on the scores that makes shares mean probabilities on sentences not trained on."""
        from scipy.optimize import minimize_scalar
        from sklearn.model_selection import StratifiedKFold, cross_val_predict

        names, at = np.unique(labels, return_inverse=True)
        folds = min(3, int(np.bincount(at).min()))
        if folds < 2 or len(names) < 3:
            return 1.0
        split = StratifiedKFold(folds, shuffle=True, random_state=0)
        parts = [(found, self._c, 1.0)]
        if dense.shape[1]:
            parts.append((dense, self._c_vector, self._vector_weight))
        scores = sum(
            share * cross_val_predict(self._model(c), part, labels, cv=split, method="decision_function")
            for part, c, share in parts
        )

        def surprise(scale: float) -> float:
            shifted = scale * (scores - scores.max(axis=1, keepdims=True))
            return float(np.mean(np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(at)), at]))

        return float(minimize_scalar(surprise, bounds=(0.2, 10.0), method="bounded").x)

    def _persist(self) -> None:
        names: dict[str, Any] = {part: head.names for part, head in self._heads.items()}
        names |= {"heads": list(self._heads), "ngrams": sorted(self._index, key=self._index.__getitem__)}
        arrays = {"idf": self._idf}
        for part, head in self._heads.items():
            arrays |= {f"{part}_{array}": getattr(head, array) for array in ARRAYS}
            arrays[f"{part}_scale"] = np.float32(head.scale)
        with self._storage.write_to(self._resource) as folder:
            (folder / "names.json").write_text(json.dumps(names, ensure_ascii=False), "utf-8")
            np.savez(folder / "weights.npz", **arrays)

    def _features(self, message: Message) -> Features:
        text = as_meant(message)
        seen = [at for gram in self.grams(text) if (at := self._index.get(gram)) is not None]
        rows, counts = np.unique(np.array(seen, dtype=np.int64), return_counts=True)
        values = (1 + np.log(counts)) * self._idf[rows]
        return Features(rows, values / (np.linalg.norm(values) or 1.0), _vector_of(message))

    def shares(self, message: Message) -> tuple[dict[str, float], float]:
        """The probability of each intent (the needs' own prior when nothing is known), and of an answer."""
        found = self._features(message)
        needs, kinds, answers = (self._heads.get(part) for part in ("needs", "kinds", "answers"))
        if needs is None:
            return {}, 0.0
        shares = dict(zip(needs.names, needs.shares(found).tolist(), strict=True))
        if kinds:
            whole = shares.pop(self._grouped.rstrip("_"))
            parts = kinds.shares(found).tolist()
            shares |= {name: whole * part for name, part in zip(kinds.names, parts, strict=True)}
        answer = float(answers.shares(found)[answers.names.index(self._answer)]) if answers else 0.0
        return shares, answer

    def process(self, messages: list[Message]) -> list[Message]:
        """Adds `intent`, the whole `intent_ranking` and `answer_share` to each message."""
        for message in messages:
            shares, answer = self.shares(message)
            best_first = sorted(shares, key=shares.__getitem__, reverse=True)
            ranking = [{"name": name, "confidence": shares[name]} for name in best_first]
            message.set(INTENT, ranking[0], add_to_output=True)
            message.set("intent_ranking", ranking, add_to_output=True)
            message.set("answer_share", answer, add_to_output=True)
        return messages

    def process_training_data(self, training_data: TrainingData) -> TrainingData:
        """Nothing after this component needs its opinion of the examples."""
        return training_data


def _vector_of(message: Message) -> np.ndarray:
    _, sentence = message.get_dense_features(TEXT, [])
    return np.zeros(0, np.float32) if sentence is None else sentence.features[0]
