"""A demonstration county for the first start, so that there is something to try; never over what is there."""

import secrets
from collections.abc import Callable

from sqlalchemy import select

from connectors.root import Domain
from handoff.store.tables import Station, Village, Worker

VILLAGES = ("青石村", "柳树坪")
STATION = ("qingshi", "青石村便民站")
ACCOUNTS = (
    ("lin", "社工小林", "worker"),
    ("zhou", "社工老周", "worker"),
    ("fang", "志愿者方姐", "volunteer"),
)


async def seed(domain: Domain, say: Callable[[str], None]) -> dict[str, str]:
    """On an empty store: two villages, a station, three accounts; returns and prints their passwords once."""
    async with domain.store.write() as session:
        if await session.scalar(select(Worker.id).limit(1)) or await session.scalar(
            select(Village.id).limit(1)
        ):
            return {}
        villages = [Village(name=name) for name in VILLAGES]
        session.add_all(villages)
        await session.flush()
        session.add(Station(code=STATION[0], name=STATION[1], village_id=villages[0].id))
    passwords = {name: secrets.token_urlsafe(9) for name, _, _ in ACCOUNTS}
    say("第一次启动，建了一个演示用的县：两个村、一个站点、三个账号。密码只显示这一次，请记下：")
    for name, display_name, role in ACCOUNTS:
        await domain.workers.add(name, display_name, role, passwords[name])
        say(
            f"  {display_name}（{'社工' if role == 'worker' else '志愿者'}）  登录名 {name}  密码 {passwords[name]}"
        )
    return passwords
