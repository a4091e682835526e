"""Triage: which need, which risk, and by when a person must act. Rules of the care page."""

from datetime import timedelta

from handoff.model.words import DangerKind, Need, Risk, highest

TIME_TO_HUMAN = {
    Risk.EMERGENCY: timedelta(minutes=2),
    Risk.URGENT: timedelta(minutes=15),
    Risk.ATTENTION: timedelta(hours=8),
    Risk.ROUTINE: timedelta(days=2),
}

# A need that is danger in itself has a floor even where no word of the lexicon was said.
NEED_FLOOR = {
    Need.EMERGENCY: Risk.EMERGENCY,
    Need.CRISIS: Risk.URGENT,
    Need.ABUSE: Risk.URGENT,
    Need.FRAUD: Risk.ATTENTION,
    Need.EMOTION: Risk.ATTENTION,
}

# The first kind found here names the need: a wish to die goes before the poison that serves it.
_NEED_OF_KIND = {
    DangerKind.SUICIDE: Need.CRISIS,
    DangerKind.SELF_HARM: Need.CRISIS,
    DangerKind.POISONING: Need.EMERGENCY,
    DangerKind.FIRE_GAS: Need.EMERGENCY,
    DangerKind.STROKE: Need.EMERGENCY,
    # Before other illness: who has fallen and hurts must not be told to sit up.
    DangerKind.FALL: Need.EMERGENCY,
    DangerKind.MEDICAL: Need.EMERGENCY,
    DangerKind.MISSING: Need.EMERGENCY,
    DangerKind.VIOLENCE: Need.ABUSE,
    DangerKind.NEGLECT: Need.ABUSE,
    DangerKind.FRAUD: Need.FRAUD,
    DangerKind.HAZARD: Need.HOME,
}

_MODIFIERS = (DangerKind.THIRD_PARTY, DangerKind.REPEAT_CONTACT, DangerKind.ASR_DOUBT)


def leading_kind(kinds: tuple[DangerKind, ...]) -> DangerKind | None:
    """The kind that decides what is said first; None where only modifiers stand."""
    for kind in _NEED_OF_KIND:
        if kind in kinds:
            return kind
    return next((kind for kind in _MODIFIERS if kind in kinds), None)


def kind_of_words(kinds: tuple[DangerKind, ...], risk: Risk) -> DangerKind | None:
    """The kind whose first words are said: poison already taken is met before the wish behind it."""
    if risk is Risk.EMERGENCY and DangerKind.POISONING in kinds:
        return DangerKind.POISONING
    return leading_kind(kinds)


def need_of(kinds: tuple[DangerKind, ...], risk: Risk) -> Need:
    """The need that danger of these kinds stands for."""
    kind = leading_kind(kinds)
    if kind is DangerKind.HAZARD and risk is Risk.EMERGENCY:
        return Need.EMERGENCY
    return _NEED_OF_KIND.get(kind, Need.UNCLEAR) if kind else Need.UNCLEAR


def settle_need(kinds: tuple[DangerKind, ...], risk: Risk, understood: Need) -> Need:
    """The one need of an utterance: danger names it, else the dialogue engine does."""
    if not kinds or not risk.at_least(Risk.ATTENTION):
        return understood
    of_danger = need_of(kinds, risk)
    if risk.at_least(Risk.URGENT) and of_danger is not Need.UNCLEAR:
        return of_danger
    return of_danger if understood in (Need.TALK, Need.UNCLEAR) else understood


def settle_risk(found: Risk, understood: Need) -> Risk:
    """The higher of what the screen found and the floor of the need."""
    return highest(found, NEED_FLOOR.get(understood, Risk.ROUTINE))
