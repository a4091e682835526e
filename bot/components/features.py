"""Gives each text its vector from the encoder that the danger screen uses too."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from rasa.engine.graph import ExecutionContext, GraphComponent
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.nlu.featurizers.dense_featurizer.dense_featurizer import DenseFeaturizer
from rasa.shared.nlu.constants import FEATURE_TYPE_SENTENCE, TEXT
from rasa.shared.nlu.training_data.features import Features
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData

from components.dialect import as_meant
from handoff.language.encoder import Encoder

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "XIANGYIN_ENCODER"


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.MESSAGE_FEATURIZER, is_trainable=False)
class EncoderFeaturizer(DenseFeaturizer, GraphComponent):
    """Adds a dense sentence feature, scaled to length 1, to every message with text."""

    @staticmethod
    def get_default_config() -> dict[str, Any]:
        """`folder`: the encoder's, from the project's root; the environment's XIANGYIN_ENCODER comes first."""
        return {**DenseFeaturizer.get_default_config(), "folder": "nlu_data/encoder"}

    def __init__(self, config: dict[str, Any], name: str) -> None:
        super().__init__(name, config)
        folder = Path(os.environ.get(FOLDER) or config["folder"])
        self._name = name
        self._encoder = Encoder(ROOT / folder, threads=1)

    @classmethod
    def create(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
    ) -> "EncoderFeaturizer":
        """The featurizer; raises EncoderError when the encoder's folder is missing or damaged."""
        return cls(config, execution_context.node_name)

    @classmethod
    def validate_config(cls, config: dict[str, Any]) -> None:
        """Nothing to check before the folder is opened."""

    def process_training_data(self, training_data: TrainingData) -> TrainingData:
        """Adds the feature to all examples, in batches."""
        self.process(training_data.training_examples)
        return training_data

    def process(self, messages: list[Message]) -> list[Message]:
        """Adds the feature to all messages."""
        spoken = [message for message in messages if message.get(TEXT)]
        vectors = self._encoder.vectors([as_meant(message) for message in spoken])
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
        for message, vector in zip(spoken, vectors, strict=True):
            message.add_features(Features(vector[None, :], FEATURE_TYPE_SENTENCE, TEXT, self._name))
        return messages
