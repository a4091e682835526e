"""Who comes back after some hours begins anew, and hears first how their matter stands."""

from handoff.model.words import Need
from handoff.service.effects import Effects, Turned
from handoff.service.identity import is_shared
from handoff.service.opening import open_cases
from handoff.service.phrases import Phrases
from handoff.service.replying import courtesy


class Returning:
    """Welcomes people back."""

    def __init__(self, effects: Effects, phrases: Phrases) -> None:
        self._effects = effects
        self._phrases = phrases

    async def welcome(self, turned: Turned) -> None:
        """How they are called, where that is known, and how the newest of their matters stands.

        What is told of violence is not mentioned: somebody else may be listening. On a shared telephone nobody
        is greeted by name and nothing is told before they have said who they are.
        """
        if await is_shared(turned.session, turned.talk):
            turned.talk.person_id = None
            turned.composed.say(self._phrases["welcome_back"])
            return
        turned.composed.say(await courtesy(turned.session, turned.talk, self._phrases["welcome_back"]))
        standing = [
            case for case in await open_cases(turned.session, turned.talk.id) if case.need != Need.ABUSE
        ]
        if standing:
            await self._effects.say_status(turned, max(standing, key=lambda case: case.id))
