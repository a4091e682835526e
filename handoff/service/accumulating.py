"""Risk that no single utterance shows: told in pieces, hinted at again, or by coming back again and again."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.model.clock import Clock
from handoff.model.danger import Finding
from handoff.model.screening import Screening
from handoff.model.words import DangerKind, Risk, highest
from handoff.store.tables import Conversation, Turn

ONE_BREATH = timedelta(minutes=10)
"""So soon after one another two utterances may be one thing told in two pieces."""
REMEMBERED = timedelta(hours=24)
MOST_READ_AGAIN = 3
CONTACTS = 3
"""So many conversations of one person in a day: in 40,261 telephone triages they had four times the odds of a
missed emergency (docs of the care rules)."""


class Accumulating:
    """Raises what the screen found in one utterance by what went before it; never lowers."""

    def __init__(self, screen: Screening, clock: Clock) -> None:
        self._screen = screen
        self._clock = clock

    async def weigh(self, session: AsyncSession, talk: Conversation, text: str, finding: Finding) -> Finding:
        """The finding in the light of the person's last day; call it before the turn is added.

        text: as it will be stored, since its words may be shown as what raised the risk.
        """
        if finding.risk.at_least(Risk.URGENT) or Risk(talk.risk).at_least(Risk.URGENT):
            return finding
        finding = await self._with_the_words_before(session, talk, text, finding)
        if _sounds_like_danger(finding) and await self._has_worried_before(session, talk):
            return replace(finding, risk=Risk.URGENT, suspected=True)
        return await self._with_other_contacts(session, talk, finding)

    async def _with_the_words_before(
        self, session: AsyncSession, talk: Conversation, text: str, finding: Finding
    ) -> Finding:
        """Danger that only shows in two utterances together is worth a person's attention the same day, not an alarm:
        two quiet sentences about nothing sound like danger together more often than one does."""
        since = self._clock.now() - ONE_BREATH
        before = await session.scalar(
            select(Turn)
            .where(Turn.conversation_id == talk.id, Turn.received_at >= since)
            .order_by(Turn.id.desc())
            .limit(1)
        )
        if before is None or not before.text or not text:
            return finding
        both = await asyncio.to_thread(self._screen.screen, f"{before.text}，{text}")
        if not both.risk.at_least(Risk.URGENT):
            return finding
        kinds = tuple(kind for kind in DangerKind if kind in finding.kinds or kind in both.kinds)
        risk = highest(finding.risk, Risk.ATTENTION)
        return replace(finding, risk=risk, kinds=kinds, why=finding.why or both.why, doubt=True)

    async def _with_other_contacts(
        self, session: AsyncSession, talk: Conversation, finding: Finding
    ) -> Finding:
        if talk.person_id is None:
            return finding
        since = self._clock.now() - REMEMBERED
        contacts = await session.scalar(
            select(func.count())
            .select_from(Conversation)
            .where(Conversation.person_id == talk.person_id, Conversation.started_at >= since)
        )
        if (contacts or 0) < CONTACTS:
            return finding
        kinds = tuple(
            kind for kind in DangerKind if kind in finding.kinds or kind is DangerKind.REPEAT_CONTACT
        )
        return replace(finding, risk=highest(finding.risk, Risk.ATTENTION), kinds=kinds)

    async def _has_worried_before(self, session: AsyncSession, talk: Conversation) -> bool:
        """Whether in the last day something already sounded like danger, here or in the person's other talks."""
        mine = Turn.conversation_id == talk.id
        if talk.person_id is not None:
            mine = or_(mine, Conversation.person_id == talk.person_id)
        before = await session.scalars(
            select(Turn)
            .join(Conversation, Conversation.id == Turn.conversation_id)
            .where(mine, Turn.received_at >= self._clock.now() - REMEMBERED, Turn.risk == Risk.ATTENTION)
            .order_by(Turn.id.desc())
            .limit(MOST_READ_AGAIN)
        )
        found = await asyncio.to_thread(self._screen.screen_all, [turn.text for turn in before])
        # Sadness is worth attention too, however often it is said; only doubt about danger adds up.
        return any(map(_sounds_like_danger, found))


def _sounds_like_danger(finding: Finding) -> bool:
    return finding.risk is Risk.ATTENTION and finding.doubt
