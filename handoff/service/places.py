"""Villages and their stations."""

from sqlalchemy import select

from handoff.model.errors import HandoffError
from handoff.store.database import Store
from handoff.store.tables import Station, Village


class PlaceError(HandoffError):
    """A village or station can't be added."""


class Places:
    """Adds and lists the places of the county."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def add_village(self, name: str) -> None:
        """A village; its name is what old people hear with their number."""
        if not name.strip() or len(name) > 80:
            raise PlaceError("bad_place", "要写村名（80 字以内）。")
        async with self._store.write() as session:
            if await session.scalar(select(Village.id).where(Village.name == name)):
                raise PlaceError("place_taken", "这个村已经有了。")
            session.add(Village(name=name))

    async def add_station(self, code: str, name: str, village: str) -> None:
        """A station of a village; its page is /station?station=CODE."""
        if not code.isascii() or not code.replace("-", "").isalnum() or len(code) > 40:
            raise PlaceError("bad_place", "站点代号只用英文字母、数字和短横（40 个以内）。")
        async with self._store.write() as session:
            home = await session.scalar(select(Village).where(Village.name == village))
            if home is None:
                raise PlaceError("no_such_village", "没有这个村，请先加村。")
            if await session.scalar(select(Station.id).where(Station.code == code)):
                raise PlaceError("place_taken", "这个站点代号已经有了。")
            session.add(Station(code=code, name=name or code, village_id=home.id))

    async def list(self) -> "list[tuple[str, list[tuple[str, str]]]]":
        """(village, [(station's code, name), …]) in order."""
        async with self._store.read() as session:
            villages = [*await session.scalars(select(Village).order_by(Village.id))]
            stations = [*await session.scalars(select(Station).order_by(Station.id))]
        return [
            (village.name, [(one.code, one.name) for one in stations if one.village_id == village.id])
            for village in villages
        ]
