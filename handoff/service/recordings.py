"""How the words of those who have agreed to it sounded: kept with the turn, heard by who may read it, gone after a time."""

from datetime import timedelta

from sqlalchemy import delete, select

from handoff.model.clock import Clock
from handoff.model.errors import HandoffError
from handoff.service.after import Changes
from handoff.service.casework import CaseworkError
from handoff.service.consent import GIVEN, REFUSED
from handoff.service.dispatch import Dispatch
from handoff.service.opening import open_cases
from handoff.service.reading import is_kept_close, record_reading
from handoff.service.turns import conversation
from handoff.store.database import Store
from handoff.store.tables import Case, Recording, Turn


class Recordings:
    """Keeps sounds and hands them out."""

    def __init__(self, store: Store, dispatch: Dispatch, clock: Clock, *, days: int) -> None:
        """`days`: so long a sound is kept."""
        self._store = store
        self._dispatch = dispatch
        self._clock = clock
        self._kept_for = timedelta(days=days)

    async def allowed(self, token: str) -> bool | None:
        """Whether the sound of this conversation may be kept; None while that is not answered."""
        async with self._store.read() as session:
            state = (await conversation(session, token)).recording
        return {GIVEN: True, REFUSED: False}.get(state)

    async def keep(self, token: str, turn_id: int, sound: bytes) -> bool:
        """Keep how a turn sounded (MP3); False where the person does not want it (any more)."""
        changes = Changes()
        async with self._store.write() as session:
            talk = await conversation(session, token, lock=True)
            turn = await session.get(Turn, turn_id)
            if talk.recording != GIVEN or turn is None or turn.conversation_id != talk.id:
                return False
            await session.merge(Recording(turn_id=turn_id, sound=sound, kept_at=self._clock.now()))
            for case in await open_cases(session, talk.id):
                changes.case(case)
        await self._dispatch.announce(changes)
        return True

    async def of_turn(self, case_id: int, turn_id: int, worker_id: int) -> bytes:
        """The sound of one turn of a case (MP3), for who may read its words; that it was asked for goes on record.

        Raises CaseworkError, and HandoffError no_sound.
        """
        async with self._store.write() as session:
            case = await session.get(Case, case_id)
            if case is None or is_kept_close(case, worker_id):
                raise CaseworkError("not_yours", "请先接手这个个案。")
            mine = select(Recording).join(Turn, Turn.id == Recording.turn_id)
            mine = mine.where(Turn.id == turn_id, Turn.conversation_id == case.conversation_id)
            found = await session.scalar(mine)
            if found is None:
                raise HandoffError("no_sound", "这句话没有录音，或者已经删了。")
            await record_reading(session, case_id, worker_id, self._clock.now())
            return found.sound

    async def tidy(self) -> None:
        """Forget what has been kept long enough."""
        async with self._store.write() as session:
            old = Recording.kept_at <= self._clock.now() - self._kept_for
            await session.execute(delete(Recording).where(old))
