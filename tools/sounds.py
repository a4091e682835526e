"""A classifier that counts the sounds of a text beside its characters. Only `make pipelines` uses it, in a copy of bot/."""

import json
from pathlib import Path

from components.intent import NeedClassifier
from rasa.engine.recipes.default_recipe import DefaultV1Recipe

SOUNDS = json.loads((Path(__file__).with_name("sounds.json")).read_text("utf-8"))
LOOSE = (
    ("zh", "z"),
    ("ch", "c"),
    ("sh", "s"),
    ("l", "n"),
    ("f", "h"),
    ("ang", "an"),
    ("eng", "en"),
    ("ing", "in"),
)


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.INTENT_CLASSIFIER, is_trainable=True)
class SoundsClassifier(NeedClassifier):
    """As the product's, with one and two syllables (no tones, near sounds as one) among the n-grams."""

    def grams(self, text: str) -> list[str]:
        """Characters' n-grams, then the syllables'."""
        sounds = [_loose(SOUNDS[char]) for char in text if char in SOUNDS]
        pairs = [f"~{one} {other}" for one, other in zip(sounds, sounds[1:], strict=False)]
        return [*super().grams(text), *(f"~{one}" for one in sounds), *pairs]


def _loose(sound: str) -> str:
    for start, plain in LOOSE[:5]:
        if sound.startswith(start):
            sound = plain + sound[len(start) :]
            break
    for end, plain in LOOSE[5:]:
        sound = sound.removesuffix(end) + plain if sound.endswith(end) else sound
    return sound
