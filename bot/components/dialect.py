"""Puts dialect words into Mandarin before anything else reads the text; the text itself stays as it was said."""

from pathlib import Path
from typing import Any

from rasa.engine.graph import ExecutionContext, GraphComponent
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.shared.nlu.constants import TEXT
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData

from handoff.language import dialect as lexicon
from handoff.language.dialect import Dialect

MANDARIN = "mandarin"
# A copy of bot/ elsewhere still finds the lexicon that the service uses too.
ROOT = Path(lexicon.__file__).resolve().parents[2]


def as_meant(message: Message) -> str:
    """The text in Mandarin where it was put into it, else as it was said."""
    return message.get(MANDARIN) or message.get(TEXT) or ""


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.MESSAGE_TOKENIZER, is_trainable=False)
class DialectNormalizer(GraphComponent):
    """Sets `mandarin` on every message with text."""

    @staticmethod
    def get_default_config() -> dict[str, Any]:
        """`folder`: the lexicon's, from the project's root."""
        return {"folder": "nlu_data/dialect"}

    def __init__(self, config: dict[str, Any]) -> None:
        self._dialect = Dialect.load(ROOT / config["folder"])

    @classmethod
    def create(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
    ) -> "DialectNormalizer":
        """The component; raises DialectError when the lexicon is missing or malformed."""
        return cls(config)

    def process_training_data(self, training_data: TrainingData) -> TrainingData:
        """Sets it on all examples."""
        self.process(training_data.training_examples)
        return training_data

    def process(self, messages: list[Message]) -> list[Message]:
        """Sets it on all messages."""
        for message in messages:
            if text := message.get(TEXT):
                message.set(MANDARIN, self._dialect.mandarin(text).text)
        return messages
