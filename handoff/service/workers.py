"""Accounts of workers and volunteers, and their signed-in sessions."""

import asyncio
import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import timedelta

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.model.clock import Clock
from handoff.model.errors import HandoffError
from handoff.store.database import Store
from handoff.store.tables import Session, Worker

SESSION_LASTS = timedelta(hours=12)
MIN_PASSWORD = 8
PHONE = re.compile(r"\+?\d{3,20}", re.ASCII)
WECOM_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_@.-]{0,63}")
"""An account in WeCom (UserID); neither `@all` nor a list can be one."""


class AccountError(HandoffError):
    """An account can't be made, found or signed in to."""


@dataclass(frozen=True)
class SignedIn:
    """Who is behind a request to the console."""

    worker_id: int
    name: str
    display_name: str
    role: str
    csrf: str


class Workers:
    """Adds, lists, disables and signs in the people who serve."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._hasher = PasswordHasher()
        # A sign-in with an unknown name takes as long as one with a wrong password.
        self._nobody = self._hasher.hash(secrets.token_hex(8))

    async def add(self, name: str, display_name: str, role: str, password: str) -> int:
        """A new account (role `worker` or `volunteer`); its id."""
        if role not in ("worker", "volunteer"):
            raise AccountError("bad_role", "角色只能是 worker（社工）或 volunteer（志愿者）。")
        if not name.strip() or len(name) > 40 or len(password) < MIN_PASSWORD:
            raise AccountError("bad_account", f"要有登录名（40 字以内），密码至少 {MIN_PASSWORD} 位。")
        password_hash = await asyncio.to_thread(self._hasher.hash, password)
        async with self._store.write() as session:
            if await session.scalar(select(Worker.id).where(Worker.name == name)):
                raise AccountError("name_taken", "这个登录名已经有了。")
            worker = Worker(
                name=name,
                display_name=display_name or name,
                role=role,
                password_hash=password_hash,
                on_duty=True,
                created_at=self._clock.now(),
            )
            session.add(worker)
            await session.flush()
            return worker.id

    async def list(self) -> "list[Worker]":
        """Every account, in order of creation."""
        async with self._store.read() as session:
            return [*await session.scalars(select(Worker).order_by(Worker.id))]

    async def disable(self, name: str) -> None:
        """Shut an account; its sessions end at once."""
        async with self._store.write() as session:
            worker = await _named(session, name)
            worker.disabled_at = worker.disabled_at or self._clock.now()
            await session.execute(delete(Session).where(Session.worker_id == worker.id))

    async def set_password(self, name: str, password: str) -> None:
        """A new password; whoever was signed in with the old one is signed out."""
        if len(password) < MIN_PASSWORD:
            raise AccountError("bad_account", f"密码至少 {MIN_PASSWORD} 位。")
        password_hash = await asyncio.to_thread(self._hasher.hash, password)
        async with self._store.write() as session:
            worker = await _named(session, name)
            worker.password_hash = password_hash
            await session.execute(delete(Session).where(Session.worker_id == worker.id))

    async def set_duty(self, name: str, on_duty: bool) -> None:
        """Alarms go to those on duty first, then to the next who is not."""
        async with self._store.write() as session:
            (await _named(session, name)).on_duty = on_duty

    async def set_wecom(self, name: str, wecom_id: str | None) -> None:
        """Where alarms reach this worker without an open console; None: nowhere but on the console."""
        if wecom_id is not None and not WECOM_ID.fullmatch(wecom_id):
            raise AccountError(
                "bad_wecom_id", "企业微信的账号只有数字、字母和 _ - @ .，头一个是数字或字母，最长 64 个。"
            )
        async with self._store.write() as session:
            worker = await _named(session, name)
            if wecom_id is not None:
                if worker.role != "worker":
                    raise AccountError("bad_role", "警报只发给社工，志愿者不用登记企业微信。")
                holder = await with_wecom(session, wecom_id)
                if holder is not None and holder.id != worker.id:
                    raise AccountError("wecom_taken", f"这个企业微信账号已经登记给 {holder.name} 了。")
            worker.wecom_id = wecom_id

    async def set_phone(self, name: str, phone: str | None) -> None:
        """Where callers who ask for a person are put through to; None: nowhere."""
        if phone is not None and not PHONE.fullmatch(phone):
            raise AccountError(
                "bad_phone", "电话只写数字（前面可以有 +），三到二十位，比如 13800001111 或者分机号 801。"
            )
        async with self._store.write() as session:
            worker = await _named(session, name)
            if phone is not None and worker.role != "worker":
                raise AccountError("bad_role", "电话只转给社工，志愿者不用登记。")
            worker.phone = phone

    async def sign_in(self, name: str, password: str) -> str:
        """The token of a new session; raises AccountError without saying which part was wrong."""
        async with self._store.read() as session:
            worker = await session.scalar(select(Worker).where(Worker.name == name))
        usable = worker is not None and worker.disabled_at is None
        try:
            await asyncio.to_thread(
                self._hasher.verify, worker.password_hash if worker and usable else self._nobody, password
            )
        except (Argon2Error, InvalidHashError) as error:
            raise AccountError("refused", "登录名或密码不对。") from error
        if worker is None or not usable:
            raise AccountError("refused", "登录名或密码不对。")
        return await self._new_session(worker.id)

    async def _new_session(self, worker_id: int) -> str:
        token, now = secrets.token_urlsafe(32), self._clock.now()
        async with self._store.write() as session:
            await session.execute(delete(Session).where(Session.expires_at <= now))
            session.add(
                Session(
                    token_hash=_hash(token),
                    worker_id=worker_id,
                    csrf=secrets.token_urlsafe(24),
                    expires_at=now + SESSION_LASTS,
                )
            )
        return token

    async def who(self, token: str) -> SignedIn | None:
        """Who holds this session, or None where it has ended."""
        async with self._store.read() as session:
            row = await session.get(Session, _hash(token))
            worker = (
                await session.get(Worker, row.worker_id)
                if row and row.expires_at > self._clock.now()
                else None
            )
            if row is None or worker is None or worker.disabled_at is not None:
                return None
            return SignedIn(worker.id, worker.name, worker.display_name, worker.role, row.csrf)

    async def sign_out(self, token: str) -> None:
        """End the session."""
        async with self._store.write() as session:
            await session.execute(delete(Session).where(Session.token_hash == _hash(token)))


async def with_wecom(session: AsyncSession, wecom_id: str) -> Worker | None:
    """Who has this account in WeCom, which knows no difference between capitals and small letters."""
    return await session.scalar(select(Worker).where(func.lower(Worker.wecom_id) == wecom_id.lower()))


async def _named(session: AsyncSession, name: str) -> Worker:
    worker = await session.scalar(select(Worker).where(Worker.name == name))
    if worker is None:
        raise AccountError("no_such_worker", "没有这个登录名。")
    return worker


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
