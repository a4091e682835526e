"""Which of a form's questions are answered by what was told unasked, and whether the one that was asked is."""

from typing import Any

# What answers the second question of `matter_form`, by need.
MORE = {
    "medicine": ("source", "since"),
    "insurance": ("before", "who"),
    "care": ("helper",),
    "farm": ("since", "tried"),
    "home": ("since",),
    "legal": ("evidence",),
    "papers": ("before",),
    "digital": ("before",),
    "transport": ("when",),
}
SLOTS = {
    "health": {"since": "health_since", "near": "health_near"},
    "benefits": {"who": "benefits_who", "before": "benefits_before"},
    "goods": {"amount": "goods_amount", "where": "goods_where"},
} | {need: dict.fromkeys(kinds, "matter_more") for need, kinds in MORE.items()}
LEFT = 2
"""So many characters beside what was told unasked (啊, 了) answer nothing."""


def told_unasked(need: str, entities: list[dict[str, Any]], asked: str | None) -> dict[str, str]:
    """By slot, what was told without being asked: {slot: words}, of this need's questions other than the one asked."""
    told: dict[str, list[str]] = {}
    for entity in entities:
        slot = SLOTS.get(need, {}).get(entity["entity"])
        if slot is not None and slot != asked:
            told.setdefault(slot, []).append(entity["value"])
    return {slot: "，".join(words) for slot, words in told.items()}


def answers_only_others(text: str, need: str, entities: list[dict[str, Any]], asked: str | None) -> bool:
    """Whether the text tells only what was not asked ("三天了" to "哪里不舒服"), so that the question still stands."""
    others = [one for one in entities if SLOTS.get(need, {}).get(one["entity"], asked) != asked]
    told = {at for one in others for at in range(one["start"], one["end"])}
    return bool(others) and sum(char.isalnum() and at not in told for at, char in enumerate(text)) <= LEFT
