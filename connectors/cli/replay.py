"""Plays written conversations through the real service on a fresh store."""

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import aiohttp
import yaml
from rich.console import Console
from rich.text import Text

from connectors.cli.streams import print_json
from connectors.errors import ConnectorError
from connectors.seed import STATION
from connectors.settings import Settings
from connectors.station import MAX_TEXT
from connectors.trial import Trial, own_rasa, trial
from handoff.model.words import KIND_ZH, NEED_ZH, RISK_ZH, STAGE_ZH, DangerKind, Need, Risk, Stage

AT_ONCE = 4
TELL_EVERY = 20
PATIENCE_S = "20"
"""A replay is about what is answered, not how fast: a busy machine must not change the answers."""

CHANNELS = ("phone", "kiosk", "wechat")
SPEAKERS = ("self", "volunteer", "family")


@dataclass(frozen=True)
class Scenario:
    """One written conversation."""

    id: str | int
    channel: str
    speaker: str
    turns: tuple[str, ...]


async def replay_file(settings: Settings, path: Path, as_json: bool) -> None:
    """Print what came of every conversation, in the file's order. Raises ConnectorError bad_scenarios."""
    scenarios = await asyncio.to_thread(read_scenarios, path)
    if not scenarios:
        if not as_json:
            print(f"{path} 里没有对话。")
        return
    done = 0
    async for scenario, result in _results(settings, scenarios):
        result.pop("needs")
        print_json(result) if as_json else _show(scenario, result)
        done += 1
        if done % TELL_EVERY == 0 and not sys.stdout.isatty():
            print(f"走完 {done}/{len(scenarios)} 段", file=sys.stderr, flush=True)


async def played(settings: Settings, path: Path) -> AsyncIterator[dict[str, Any]]:
    """What came of every conversation of a file, in its order, with the needs of all its cases."""
    async for _, result in _results(settings, await asyncio.to_thread(read_scenarios, path)):
        yield result


async def _results(
    settings: Settings, scenarios: list[Scenario]
) -> AsyncIterator[tuple[Scenario, dict[str, Any]]]:
    async with (
        own_rasa(settings) as rasa,
        trial(settings, rasa_url=rasa.url, DIALOGUE_TIMEOUT_S=PATIENCE_S) as service,
        aiohttp.ClientSession() as http,
    ):
        async for scenario, result in _in_order(service, http, scenarios):
            yield scenario, result


async def _in_order(
    service: Trial, http: aiohttp.ClientSession, scenarios: list[Scenario]
) -> AsyncIterator[tuple[Scenario, dict[str, Any]]]:
    """Several conversations at once; what came of them in the order they were given."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(scenario: Scenario) -> dict[str, Any]:
        async with room:
            return await _play(service, http, scenario)

    tasks = [asyncio.create_task(one(scenario)) for scenario in scenarios]
    try:
        for scenario, task in zip(scenarios, tasks, strict=True):
            yield scenario, await task
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _play(service: Trial, http: aiohttp.ClientSession, scenario: Scenario) -> dict[str, Any]:
    opening = {"channel": scenario.channel, "speaker": scenario.speaker}
    if scenario.channel == "kiosk":
        opening["station"] = STATION[0]
    token = (await service.post(http, "/api/conversations", opening))["conversation"]
    replies = []
    for text in scenario.turns:
        turn = {"conversation": token, "message_id": uuid.uuid4().hex, "text": text}
        reply = (await service.post(http, "/api/turns", turn))["reply"]
        replies.append(reply["text"] if reply else "")
    cases = (await service.post(http, "/api/matters", {"conversation": token}))["cases"]
    return {
        "id": scenario.id,
        "replies": replies,
        "case": cases[0] if cases else None,
        "handoff": bool(cases),
        "needs": [case["need"] for case in cases],
    }


def _show(scenario: Scenario, result: dict[str, Any]) -> None:
    console = Console(highlight=False)
    console.rule(Text(str(scenario.id)))
    for said, reply in zip(scenario.turns, result["replies"], strict=True):
        console.print(Text(f"  人：{said or '（没有出声）'}", style="bold"), soft_wrap=True)
        console.print(Text(f"乡音：{reply or '（社工在跟这个人说话）'}"), soft_wrap=True)
    console.print(Text(_case_line(result["case"]), style="dim"))


def _case_line(case: dict[str, Any] | None) -> str:
    if case is None:
        return "没有开案，没有转人。"
    kinds = "、".join(KIND_ZH[DangerKind(kind)] for kind in case["kinds"])
    parts = [
        f"个案 {case['number']}",
        NEED_ZH[Need(case["need"])],
        RISK_ZH[Risk(case["risk"])],
        kinds,
        STAGE_ZH[Stage(case["stage"])],
    ]
    return "　".join(part for part in parts if part)


# -- reading the file --------------------------------------------------------------------------------------


def read_scenarios(path: Path) -> list[Scenario]:
    """The conversations of a YAML file; raises ConnectorError naming file, entry and field."""
    entries = _entries(path)
    scenarios: list[Scenario] = []
    for n, entry in enumerate(entries, 1):
        scenario = _scenario(entry, f"{path} 第 {n} 段")
        if any(scenario.id == other.id for other in scenarios):
            _bad(f"{path} 第 {n} 段：id {scenario.id} 前面已经用过了，请换一个。")
        scenarios.append(scenario)
    return scenarios


def _entries(path: Path) -> list[Any]:
    try:
        found = yaml.safe_load(path.read_text("utf-8-sig"))
    except UnicodeError:
        _bad(f"{path} 不是 UTF-8 编码的文字，请另存为 UTF-8。")
    except OSError as error:
        _bad(f"读不了 {path}（{error.strerror}），请检查文件名和权限。")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        _bad(
            f"{path} 不是合格的 YAML{_place(mark)}：{error.problem or error.context}。请检查缩进、冒号和引号。"
        )
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        _bad(f"{path} 不是合格的 YAML（{type(error).__name__}），请检查里面的特殊字符和数字。")
    if found is None:
        return []
    if not isinstance(found, list):
        _bad(f"{path} 的最外层应是一个列表，每段对话以“- id:”开头。")
    return found


def _place(mark: yaml.Mark | None) -> str:
    return f"（第 {mark.line + 1} 行第 {mark.column + 1} 个字附近）" if mark else ""


def _scenario(entry: Any, where: str) -> Scenario:
    if not isinstance(entry, dict):
        _bad(f"{where}：应有 id、channel、speaker、turns 这几个字段。")
    name = entry.get("id")
    if not isinstance(name, str | int) or isinstance(name, bool) or name == "":
        _bad(f"{where}：id 缺了，或者不是文字。")
    where = f"{where}（id {name}）"
    return Scenario(
        name,
        _one_of(entry, "channel", CHANNELS, where),
        _one_of(entry, "speaker", SPEAKERS, where),
        _turns(entry.get("turns"), where),
    )


def _one_of(entry: dict[str, Any], field: str, allowed: tuple[str, ...], where: str) -> str:
    value = entry.get(field)
    if value not in allowed:
        _bad(f"{where}：{field} 只能是 {'、'.join(allowed)}。")
    return str(value)


def _turns(turns: Any, where: str) -> tuple[str, ...]:
    if not isinstance(turns, list):
        _bad(f"{where}：turns 应是一个列表，一句话一项。")
    for n, text in enumerate(turns, 1):
        if not isinstance(text, str):
            _bad(f"{where}：turns 第 {n} 项不是文字，数字、是否和空项请加引号。")
        if len(text) > MAX_TEXT:
            _bad(f"{where}：turns 第 {n} 项超过了 {MAX_TEXT} 字。")
    return tuple(turns)


def _bad(message: str) -> NoReturn:
    raise ConnectorError("bad_scenarios", message) from None
