"""The commands and how their errors are told; each command's work is in a module of its own, loaded when called."""

import asyncio
import json
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from connectors.errors import ConnectorError
from connectors.logs import configure_logs
from connectors.settings import Settings, read_settings
from handoff.model.errors import HandoffError
from voice.errors import VoiceError

app = typer.Typer(
    name="xiangyin",
    help="乡音：给村里老人用的语音和聊天服务，背后有社工。",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
models = typer.Typer(help="语音模型：看有哪些、下载。", no_args_is_help=True)
worker = typer.Typer(help="社工和志愿者的账号。", no_args_is_help=True)
app.add_typer(models, name="models")
place = typer.Typer(help="村和站点。", no_args_is_help=True)
app.add_typer(worker, name="worker")
app.add_typer(place, name="place")
wechat = typer.Typer(help="微信公众号：检查、菜单、在本机演练。", no_args_is_help=True)
app.add_typer(wechat, name="wechat")

AsJson = Annotated[bool, typer.Option("--json", help="只印 JSON，给程序读。")]


def say(line: str) -> None:
    """To the person at the terminal, at once."""
    print(line, flush=True)


def run_command(arguments: list[str] | None = None) -> int:
    """The exit status; every foreseeable failure is one sentence on standard error."""
    configure_logs("WARNING")
    try:
        status = app(args=arguments, standalone_mode=False)
        return int(status) if isinstance(status, int) else 0
    except typer.TyperException as error:
        _explain_usage(error)
        return 2
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        return 0
    except (ConnectorError, HandoffError, VoiceError) as error:
        print(f"xiangyin：{error.message}（{error.code}）", file=sys.stderr)
    except OSError as error:
        from connectors.root import explain_os_error

        print(f"xiangyin：{explain_os_error(error).message}", file=sys.stderr)
    return 1


def _explain_usage(error: typer.TyperException) -> None:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "xiangyin"
    if message := error.format_message():  # without one the help itself has been printed
        print(f"xiangyin：用法不对：{message} 请看 {command} --help", file=sys.stderr)


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def _settings(**given: object) -> Settings:
    return read_settings(**{key: value for key, value in given.items() if value is not None})


@app.command()
def run(
    host: Annotated[str | None, typer.Option(help="服务的地址；0.0.0.0 让整个网络都能用。")] = None,
    port: Annotated[int | None, typer.Option(help="端口；0 表示随便找一个空的。")] = None,
) -> None:
    """启动整个服务：站点页面、工作台、对话引擎。按 Ctrl-C 停下。"""
    from connectors.server import serve

    configure_logs("INFO")
    _run(serve(_settings(host=host, port=port), say))


@app.command()
def understand() -> None:
    """从标准输入一行一行读，印出每一行的理解（需求、风险、回答），一行一个 JSON。"""
    from connectors.cli.lines import understand_lines

    _run(understand_lines(_settings()))


@app.command()
def screen(
    lexicon_only: Annotated[
        bool, typer.Option("--lexicon-only", help="只用词库，不用分类器：快得多，漏得也多。")
    ] = False,
) -> None:
    """只做险情筛查：一行一行读，一行一个 JSON。不用 Rasa，也不用网络。"""
    from connectors.cli.screen import screen_lines

    screen_lines(None if lexicon_only else _settings().encoder)


@app.command()
def replay(
    scenarios: Annotated[Path, typer.Argument(help="YAML 文件：- id, channel, speaker, turns。")],
    as_json: AsJson = False,
) -> None:
    """在全新的库上，用真的服务把一段段对话走一遍，印出回答、个案、是否转人。"""
    from connectors.cli.replay import replay_file

    _run(replay_file(_settings(), scenarios, as_json))


@app.command()
def transcribe(files: Annotated[list[Path], typer.Argument(help="录音文件，常见格式都行。")]) -> None:
    """认出录音里说的话，一个文件一行 JSON。"""
    from connectors.cli.speech import transcribe_files

    raise typer.Exit(transcribe_files(_settings(), files))


@app.command(name="say")
def say_command(
    text: Annotated[str, typer.Argument(help="要说的话。")],
    out: Annotated[Path, typer.Option("--out", "-o", help="写到这个 WAV 文件。")],
    speed: Annotated[float, typer.Option(help="快慢，1 是平常。", min=0.5, max=2.0)] = 1.0,
) -> None:
    """把一句话念成 WAV 文件。"""
    from connectors.cli.speech import say_to_file

    say_to_file(_settings(), text, out, speed)


@app.command()
def talk(
    voice: Annotated[
        str | None, typer.Option(help="把回答念出来：写 - 用声卡放，或写一个 WAV 文件名。")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """在终端里跟乡音说话。空行或 Ctrl-D 结束。"""
    from connectors.cli.talk import talk_in_terminal

    _run(talk_in_terminal(_settings(), voice, as_json))


@models.command("list")
def models_list(as_json: AsJson = False) -> None:
    """列出语音模型：用处、大小、许可、在不在。"""
    from connectors.cli.speech import list_models

    list_models(_settings(), as_json)


@models.command("fetch")
def models_fetch(
    names: Annotated[list[str] | None, typer.Argument(help="模型名；不写就取需要的那些。")] = None,
    required_only: Annotated[bool, typer.Option(help="只取不能缺的。")] = False,
) -> None:
    """下载语音模型：可以断了再续，逐个核对。"""
    from connectors.cli.speech import fetch_models

    fetch_models(_settings(), names or [], required_only)


@worker.command("add")
def worker_add(
    name: Annotated[str, typer.Argument(help="登录名。")],
    display_name: Annotated[str, typer.Option(help="给别人看的名字，比如 社工小林。")] = "",
    role: Annotated[str, typer.Option(help="worker（社工）或 volunteer（志愿者）。")] = "worker",
) -> None:
    """加一个账号，印出密码（只印这一次）。"""
    from connectors.cli.accounts import add

    _run(add(_settings(), name, display_name, role))


@worker.command("list")
def worker_list(as_json: AsJson = False) -> None:
    """列出所有账号。"""
    from connectors.cli.accounts import list_all

    _run(list_all(_settings(), as_json))


@worker.command("disable")
def worker_disable(name: Annotated[str, typer.Argument(help="登录名。")]) -> None:
    """停用一个账号，它马上就不能再用。"""
    from connectors.cli.accounts import disable

    _run(disable(_settings(), name))


@worker.command("password")
def worker_password(name: Annotated[str, typer.Argument(help="登录名。")]) -> None:
    """换一个新密码（只印这一次），旧的马上不能用。"""
    from connectors.cli.accounts import new_password

    _run(new_password(_settings(), name))


@worker.command("duty")
def worker_duty(
    name: Annotated[str, typer.Argument(help="登录名。")],
    on: Annotated[bool, typer.Option("--on/--off", help="值班或休息。")] = True,
) -> None:
    """值班还是休息：警报先给值班的，两分钟没人看到再给下一个。"""
    from connectors.cli.accounts import set_duty

    _run(set_duty(_settings(), name, on))


@worker.command("wecom")
def worker_wecom(
    name: Annotated[str, typer.Argument(help="登录名。")],
    wecom_id: Annotated[
        str | None, typer.Argument(metavar="账号", help="企业微信通讯录里的账号，不是姓名，也不是手机号。")
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="不再发到企业微信。")] = False,
) -> None:
    """登记社工的企业微信：警报也发到手机上。"""
    from connectors.cli.accounts import set_wecom

    if clear == (wecom_id is not None):
        raise typer.BadParameter("写上账号，或者用 --clear，二选一。")
    _run(set_wecom(_settings(), name, wecom_id))


@worker.command("phone")
def worker_phone(
    name: Annotated[str, typer.Argument(help="登录名。")],
    phone: Annotated[
        str | None, typer.Argument(metavar="电话", help="手机、座机或者分机号，只写数字。")
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="不再转电话给他。")] = False,
) -> None:
    """登记社工的电话：老人打电话来要找人，值班的就接得到。"""
    from connectors.cli.accounts import set_phone

    if clear == (phone is not None):
        raise typer.BadParameter("写上电话，或者用 --clear，二选一。")
    _run(set_phone(_settings(), name, phone))


@place.command("list")
def place_list() -> None:
    """列出村和站点。"""
    from connectors.cli.places import list_places

    _run(list_places(_settings()))


@place.command("village")
def place_village(name: Annotated[str, typer.Argument(help="村名。")]) -> None:
    """加一个村。"""
    from connectors.cli.places import add_village

    _run(add_village(_settings(), name))


@place.command("station")
def place_station(
    code: Annotated[str, typer.Argument(help="代号，用在网址里，比如 qingshi。")],
    village: Annotated[str, typer.Option(help="在哪个村。")],
    name: Annotated[str, typer.Option(help="给人看的名字。")] = "",
) -> None:
    """加一个站点；它的页面是 /station?station=代号。"""
    from connectors.cli.places import add_station

    _run(add_station(_settings(), code, name, village))


@wechat.command("check")
def wechat_check(as_json: AsJson = False) -> None:
    """查一查公众号接好了没有：设置、令牌、白名单、权限、菜单、时间。都好时退出码是 0。"""
    from connectors.cli.wechat import check

    raise typer.Exit(_run(check(_settings(), as_json)))


@wechat.command("menu")
def wechat_menu(
    publish: Annotated[bool, typer.Option("--publish", help="发布成应有的样子。")] = False,
    as_json: AsJson = False,
) -> None:
    """看公众号底部的菜单；加 --publish 就发布。"""
    from connectors.cli.wechat import menu

    raise typer.Exit(_run(menu(_settings(), publish, as_json)))


@wechat.command("simulate")
def wechat_simulate(
    port: Annotated[int, typer.Option(help="演练平台的端口；0 表示随便找一个空的。")] = 8040,
    service: Annotated[str, typer.Option(help="乡音的服务在哪里。")] = "http://127.0.0.1:8030",
) -> None:
    """在本机装成微信平台：网页上装成村里人聊天，旁边是社工的企业微信。"""
    from connectors.wechat.double.run import simulate

    _run(simulate(port, service.rstrip("/"), say))


@app.command()
def train() -> None:
    """内容有变动时训练对话模型；没有变动就什么也不做。"""
    from connectors.rasa_model import ensure_model

    say(f"对话模型：{_run(ensure_model(_settings(), say)).name}")


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """查一查：什么能用，什么缺了，怎么补。都好时退出码是 0。"""
    from connectors.cli.doctor import examine, report, settings_unread

    try:
        settings = _settings()
    except ConnectorError as error:
        raise typer.Exit(report([settings_unread(error)], as_json)) from error
    raise typer.Exit(_run(examine(settings, as_json)))


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help="turns、screen、crash、wechat、voice、calls 或 speech。")],
    as_json: AsJson = False,
    store: Annotated[str, typer.Option(help="crash 用的库：sqlite 或 postgresql。")] = "sqlite",
) -> None:
    """量一量快慢和耐摔；最后一行是 JSON。"""
    from connectors.cli.bench import run_bench

    result = _run(run_bench(_settings(), name, store, (lambda line: None) if as_json else say))
    print(json.dumps(result, ensure_ascii=False), flush=True)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="社工的回答念成的 WAV。")] = Path("var/demo.wav"),
) -> None:
    """把整个故事走一遍：老人说话、筛险、开案、社工接手、回话。"""
    from connectors.cli.demo import tell_story

    _run(tell_story(_settings(), out, say))
