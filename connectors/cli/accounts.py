"""Accounts of workers and volunteers, from the command line."""

import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from connectors.root import open_store
from connectors.settings import Settings
from handoff.model.clock import Clock
from handoff.service.workers import Workers

ROLE_ZH = {"worker": "社工", "volunteer": "志愿者"}


@asynccontextmanager
async def _workers(settings: Settings) -> AsyncIterator[Workers]:
    store = open_store(settings)
    try:
        yield Workers(store, Clock())
    finally:
        await store.close()


async def add(settings: Settings, name: str, display_name: str, role: str) -> None:
    """Make an account and print its password once."""
    password = secrets.token_urlsafe(9)
    async with _workers(settings) as workers:
        await workers.add(name, display_name, role, password)
    print(
        f"已加：{display_name or name}（{ROLE_ZH[role]}）  登录名 {name}  密码 {password}  （密码只显示这一次）"
    )


async def list_all(settings: Settings, as_json: bool) -> None:
    """Every account, one a line."""
    async with _workers(settings) as workers:
        accounts = await workers.list()
    for one in accounts:
        fields = {
            "name": one.name,
            "display_name": one.display_name,
            "role": one.role,
            "on_duty": one.on_duty,
            "disabled": one.disabled_at is not None,
            "wecom": one.wecom_id,
            "has_phone": one.phone is not None,
        }
        state = "已停用" if one.disabled_at else "值班" if one.on_duty else "休息"
        print(
            json.dumps(fields, ensure_ascii=False)
            if as_json
            else f"{one.name}\t{one.display_name}\t{ROLE_ZH[one.role]}\t{one.wecom_id or '-'}\t{state}"
        )


async def new_password(settings: Settings, name: str) -> None:
    """Set and print a new password once."""
    password = secrets.token_urlsafe(9)
    async with _workers(settings) as workers:
        await workers.set_password(name, password)
    print(f"{name} 的新密码 {password}  （密码只显示这一次）")


async def set_duty(settings: Settings, name: str, on: bool) -> None:
    """On or off duty."""
    async with _workers(settings) as workers:
        await workers.set_duty(name, on)
    print(f"{name}：{'值班' if on else '休息'}")


async def set_wecom(settings: Settings, name: str, wecom_id: str | None) -> None:
    """Where alarms reach a worker in WeCom; None takes it away."""
    async with _workers(settings) as workers:
        await workers.set_wecom(name, wecom_id)
    print(f"{name}：警报{'也发到企业微信 ' + wecom_id if wecom_id else '只在工作台上响'}")


async def set_phone(settings: Settings, name: str, phone: str | None) -> None:
    """Where callers are put through to a worker; None takes it away."""
    async with _workers(settings) as workers:
        await workers.set_phone(name, phone)
    print(f"{name}：{'老人打电话要找人，会转到登记的电话' if phone else '不再转电话'}")


async def disable(settings: Settings, name: str) -> None:
    """Shut an account."""
    async with _workers(settings) as workers:
        await workers.disable(name)
    print(f"已停用：{name}")
