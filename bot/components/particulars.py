"""Finds what is told along with a matter (since when, who is near, how much …) as entities."""

from typing import Any

from rasa.engine.graph import ExecutionContext, GraphComponent
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.nlu.extractors.extractor import EntityExtractorMixin
from rasa.shared.nlu.constants import ENTITIES, TEXT
from rasa.shared.nlu.training_data.message import Message

from handoff.language.particulars import particulars


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.ENTITY_EXTRACTOR, is_trainable=False)
class ParticularsExtractor(GraphComponent, EntityExtractorMixin):
    """Adds the particulars to a message's entities."""

    @classmethod
    def create(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
    ) -> "ParticularsExtractor":
        """The component; it has no settings."""
        return cls()

    def process(self, messages: list[Message]) -> list[Message]:
        """Finds them in all messages."""
        for message in messages:
            found = [
                {"entity": one.kind, "value": one.text, "start": one.start, "end": one.end}
                for one in particulars(message.get(TEXT) or "")
            ]
            message.set(
                ENTITIES, message.get(ENTITIES, []) + self.add_extractor_name(found), add_to_output=True
            )
        return messages
