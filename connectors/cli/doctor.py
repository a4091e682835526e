"""What works, what is missing and how to mend it. Changes nothing and survives anything that is broken."""

import asyncio
import json
import os
import shutil
import socket
import ssl
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import aiohttp
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory
from cryptography.fernet import Fernet, InvalidToken
from rich.console import Console
from rich.table import Table
from rich.text import Text

import handoff.store
from connectors.cli.lines import running_service
from connectors.cli.speech import model_store
from connectors.errors import ConnectorError
from connectors.rasa_model import is_whole, model_path
from connectors.root import NLU_DATA, explain_os_error
from connectors.screens import danger_screen
from connectors.settings import Settings
from connectors.wechat.check import wecom_settings
from connectors.wechat.envelope import Envelope
from handoff.language.encoder import EncoderError
from handoff.model.clock import Clock
from handoff.model.errors import HandoffError
from handoff.service.phrases import Phrases
from handoff.store.database import sync_url
from voice.choice import explain_choice
from voice.errors import VoiceError

LEAST_FREE = 1024**3
LEAST_PYTHON = (3, 11)
RASA_PYTHON = "3.10"
PATIENCE_S = 2.0
_LOOPBACK = ("127.0.0.1", "localhost", "::1")

Level = Literal["must", "should"]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    level: Level
    """`must`: without it the service is not whole; `should`: it does without, less well."""
    say: str
    mend: str = ""


async def examine(settings: Settings, as_json: bool) -> int:
    """Look at everything and report; 0 when all that must be is well, else 1."""
    base = await running_service(settings, with_dialogue=False)
    looks: list[tuple[str, Callable[[], Check]]] = [
        ("Python", _python),
        ("数据目录", lambda: _data_folder(settings)),
        ("磁盘", lambda: _disk(settings)),
        ("数据库", lambda: _store(settings)),
        ("密钥", lambda: _secret_key(settings)),
        ("对话引擎环境", lambda: _rasa_environment(settings)),
        ("对话模型", lambda: _rasa_model(settings)),
        ("听话", lambda: _recogniser(settings)),
        ("说话", lambda: _voice(settings)),
        ("险情词库", _lexicon),
        ("险情分类器", lambda: _classifier(settings)),
        ("语句", _phrases),
        ("端口", lambda: _port(settings, base)),
        ("加密访问", lambda: _tls(settings)),
        ("微信公众号", lambda: _wechat(settings)),
        ("企业微信", lambda: _wecom(settings)),
        ("电话", lambda: _telephone(settings, base)),
        ("AudioSocket", lambda: _audio_socket(settings, base)),
    ]
    found = [Check("设置", True, "must", f"读得通，数据在 {settings.data}")]
    found += await asyncio.gather(*(asyncio.to_thread(_guarded, name, look) for name, look in looks))
    found += await asyncio.to_thread(_models, settings)
    found.append(await _running(base))
    return report(found, as_json)


def settings_unread(error: ConnectorError) -> Check:
    """The check of settings that can't be read: nothing else can be looked at then."""
    return Check("设置", False, "must", error.message, "改正环境变量或 .env 文件，再运行一次 xiangyin doctor")


def report(found: list[Check], as_json: bool) -> int:
    """Print the checks; 0 when all that must be is well."""
    well = all(check.ok for check in found if check.level == "must")
    if as_json:
        print(json.dumps({"ok": well, "checks": [asdict(check) for check in found]}, ensure_ascii=False))
        return 0 if well else 1
    table = Table(box=None, padding=(0, 1), show_header=False)
    for check in found:
        mark, style = (
            ("✓", "green") if check.ok else ("✗", "red") if check.level == "must" else ("✗", "yellow")
        )
        words = check.say if check.ok or not check.mend else f"{check.say}\n→ {check.mend}"
        table.add_row(Text(mark, style=style), Text(check.name, no_wrap=True), Text(words))
    console = Console(highlight=False)
    console.print(table)
    if well:
        console.print(Text("该有的都有。", style="green"))
    else:
        console.print(Text("还缺必须的东西，请照上面 → 后面的办法补。", style="red"))
    return 0 if well else 1


def _guarded(name: str, look: Callable[[], Check]) -> Check:
    """The boundary: whatever is broken, the other checks go on."""
    try:
        return look()
    except (ConnectorError, HandoffError, VoiceError) as error:
        return Check(name, False, "must", error.message, "照这句话改好，再运行一次 xiangyin doctor")
    except OSError as error:
        return Check(name, False, "must", explain_os_error(error).message, "检查文件和目录的权限")
    except Exception as error:
        return Check(name, False, "must", f"查不下去（{type(error).__name__}）", "重新运行 make setup")


# -- this machine ------------------------------------------------------------------------------------------


def _python() -> Check:
    ok = sys.version_info >= LEAST_PYTHON
    version = ".".join(map(str, sys.version_info[:3]))
    return Check("Python", ok, "must", version, "用 Python 3.11 或更新的重建环境：make clean && make setup")


def _nearest(folder: Path) -> Path:
    """The folder itself, or the nearest one above that is there."""
    return next((one for one in (folder, *folder.parents) if one.exists()), Path("/"))


def _data_folder(settings: Settings) -> Check:
    place = _nearest(settings.data)
    mend = f"检查 {place} 的权限和磁盘，或改 XIANGYIN_DATA"
    if not place.is_dir():
        return Check("数据目录", False, "must", f"{place} 不是目录", mend)
    if place != settings.data:
        ok = os.access(place, os.W_OK | os.X_OK)
        say = "还没建，第一次启动时会建" if ok else f"建不了：{place} 写不进去"
        return Check("数据目录", ok, "must", say, mend)
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"x")
            file.flush()
    except OSError as error:
        return Check("数据目录", False, "must", f"{place} 写不进去（{error.strerror}）", mend)
    return Check("数据目录", True, "must", f"{place} 能写")


def _disk(settings: Settings) -> Check:
    free = shutil.disk_usage(_nearest(settings.data)).free
    say = f"还剩 {free / 1024**3:.1f} GB"
    return Check("磁盘", free >= LEAST_FREE, "must", say, "清出至少 1 GB，满了就存不下老人的话")


# -- the store ---------------------------------------------------------------------------------------------


def _connect(settings: Settings) -> sa.Engine:
    url = sync_url(settings.store_url)
    waits = {"timeout": PATIENCE_S} if url.startswith("sqlite") else {"connect_timeout": int(PATIENCE_S)}
    return sa.create_engine(url, connect_args=waits)


def _not_made_yet(settings: Settings) -> bool:
    return not settings.database_url and not settings.at("xiangyin.db").exists()


def _store(settings: Settings) -> Check:
    if _not_made_yet(settings):
        return Check("数据库", True, "must", "还没建，第一次启动时会建")
    mend = "检查数据库是否在运行、XIANGYIN_DATABASE_URL 是否正确；文件坏了就放回备份"
    scripts = Config()
    scripts.set_main_option("script_location", str(Path(handoff.store.__file__).parent / "migrations"))
    known = [one.revision for one in ScriptDirectory.from_config(scripts).walk_revisions()]
    try:
        engine = _connect(settings)
        with closing(engine.connect()) as connection:
            made = sa.inspect(connection).has_table("alembic_version")
            form = connection.scalar(sa.text("SELECT version_num FROM alembic_version")) if made else None
        engine.dispose()
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        return Check("数据库", False, "must", f"打不开或读不了（{type(error).__name__}）", mend)
    if form is not None and form not in known:
        return Check("数据库", False, "must", f"库的版本 {form} 比程序新", "换上与库相配的新程序")
    return Check("数据库", True, "must", "是最新的" if form == known[0] else "连得上，启动时会升到最新")


def _secret_key(settings: Settings) -> Check:
    path = settings.at("secret.key")
    mend = f"放回建库时的密钥文件 {path}，没有它，存下的话谁也打不开"
    if not settings.secret_key and not path.exists():
        if _not_made_yet(settings):
            return Check("密钥", True, "must", "还没有，第一次启动时会做一个")
        return Check("密钥", False, "must", "库在，密钥文件不在", mend)
    try:
        fernet = Fernet((settings.secret_key or path.read_text().strip()).encode())
    except ValueError:
        return Check("密钥", False, "must", "密钥不成样子，须是 32 字节的 urlsafe base64", mend)
    sealed = _one_sealed(settings)
    try:
        if sealed is not None:
            fernet.decrypt(bytes(sealed))
    except InvalidToken:
        return Check("密钥", False, "must", "密钥与库里的数据不符", mend)
    if not settings.secret_key and path.stat().st_mode & 0o077:
        return Check("密钥", False, "should", "别的用户也读得到密钥文件", f"chmod 600 {path}")
    return Check("密钥", True, "must", "读得了，打得开存下的话" if sealed is not None else "读得了")


def _one_sealed(settings: Settings) -> Any:
    """Any sealed value, or None where there is none or the store can't be read (which is told elsewhere)."""
    if _not_made_yet(settings):
        return None
    try:
        engine = _connect(settings)
        with closing(engine.connect()) as connection:
            found = connection.scalar(sa.text("SELECT text FROM turns ORDER BY id DESC LIMIT 1"))
        engine.dispose()
    except (sa.exc.SQLAlchemyError, ImportError):
        return None
    return found


# -- the dialogue engine -----------------------------------------------------------------------------------


def _rasa_environment(settings: Settings) -> Check:
    name = "对话引擎环境"
    if settings.rasa_url:
        return Check(name, True, "must", f"用别处的 Rasa：{settings.rasa_url}")
    python = settings.rasa_python
    if not python.is_file():
        return Check(name, False, "must", f"没有 Rasa 的环境（{python}）", "make setup")
    # Asking that Python itself would take longer than all other checks together.
    libraries = (python.parent.parent / "lib").glob(f"python{RASA_PYTHON}/site-packages/rasa-*.dist-info")
    versions = [folder.name.removeprefix("rasa-").removesuffix(".dist-info") for folder in libraries]
    if not versions:
        return Check(name, False, "must", f"{python} 里没有装 Rasa", "rm -rf bot/.venv && make setup")
    return Check(name, True, "must", f"Rasa {versions[0]}")


def _rasa_model(settings: Settings) -> Check:
    name = "对话模型"
    if settings.rasa_url:
        return Check(name, True, "should", "由别处的 Rasa 自己管")
    path = model_path(settings)
    if not path.is_file():
        return Check(name, False, "should", "还没为现在的内容训练，启动时会自己训练", "xiangyin train")
    if not is_whole(path):
        return Check(name, False, "must", f"{path.name} 坏了", "xiangyin train")
    return Check(name, True, "should", f"{path.name}，与现在的内容相符")


# -- ears, voice, words ------------------------------------------------------------------------------------


def _recogniser(settings: Settings) -> Check:
    models = model_store(settings)
    ok = any(models.state(name) == "present" for name in ("vosk-cn", "vosk-small-cn", "whisper-base"))
    say = explain_choice(models, prefer=settings.recogniser).removeprefix("语音识别：")
    return Check("听话", ok, "must", say, "xiangyin models fetch")


def _voice(settings: Settings) -> Check:
    import espeakng_loader

    kokoro = model_store(settings).state("kokoro-zh") == "present" and settings.voice != "espeak"
    espeak = Path(espeakng_loader.get_library_path()).is_file()
    if kokoro:
        return Check("说话", True, "must", "用 Kokoro 普通话语音")
    if espeak and settings.voice != "kokoro":
        wanted = settings.voice == "espeak"
        say = "用 espeak-ng" if wanted else "没有 Kokoro，只能用 espeak-ng，老人不容易听清"
        return Check("说话", wanted, "should", say, "xiangyin models fetch kokoro-zh")
    return Check("说话", False, "must", "没有能用的语音", "xiangyin models fetch kokoro-zh")


def _models(settings: Settings) -> list[Check]:
    """The state of every model that is needed, wanted, or here and broken."""
    checks = []
    for model in model_store(settings).table:
        name = f"模型 {model.name}"
        check = _guarded(name, lambda model=model, name=name: _model(settings, model.name, model.group, name))  # type: ignore[misc]
        if not check.ok or model.group in ("required", "wanted"):
            checks.append(check)
    return checks


def _model(settings: Settings, model: str, group: str, name: str) -> Check:
    state = model_store(settings).state(model)
    level: Level = "must" if group == "required" else "should"
    say = {"present": "在，是完整的", "missing": "不在", "broken": "文件不完整"}[state]
    optional = group not in ("required", "wanted") and state == "missing"
    return Check(name, state == "present" or optional, level, say, f"xiangyin models fetch {model}")


def _lexicon() -> Check:
    danger_screen(None)
    return Check("险情词库", True, "must", "读得通")


def _classifier(settings: Settings) -> Check:
    try:
        danger_screen(settings.encoder).screen("试一试")
    except EncoderError as error:
        return Check("险情分类器", False, "must", str(error), "重新取一份程序，或改正 XIANGYIN_ENCODER")
    return Check("险情分类器", True, "must", f"编码器读得通（{settings.encoder}）")


def _phrases() -> Check:
    Phrases.load(NLU_DATA / "phrases.yaml")
    return Check("语句", True, "must", "读得通")


# -- the network -------------------------------------------------------------------------------------------


def _port(settings: Settings, base: str) -> Check:
    if base:
        return Check("端口", True, "must", "本服务正在用")
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except (OSError, UnicodeError) as error:
            reason = explain_os_error(error).message if isinstance(error, OSError) else "地址不对"
            say = f"{settings.host}:{settings.port} 用不了：{reason}"
            return Check("端口", False, "must", say, "换一个：XIANGYIN_PORT=8031 make run")
    return Check("端口", True, "must", f"{settings.host}:{settings.port} 空着")


def _telephone(settings: Settings, base: str) -> Check:
    """What can be seen without calling anybody: the library, the model, and whether the port is free."""
    name = "电话"
    if not settings.sip_user:
        return Check(name, True, "should", "没有设，不接电话")
    if not settings.sip_domain:
        return Check(name, False, "must", "设了 XIANGYIN_SIP_USER，没设 XIANGYIN_SIP_DOMAIN", "补上它")
    try:
        import baresip  # noqa: F401
    except (ImportError, OSError) as error:
        return Check(name, False, "must", f"SIP 库装不起来（{type(error).__name__}）", "make setup")
    if settings.sip_listen and not base and not _can_listen(settings.sip_listen):
        mend = "改 XIANGYIN_SIP_LISTEN，或停掉占着的程序"
        return Check(name, False, "must", f"{settings.sip_listen} 用不了", mend)
    how = f"到 {settings.sip_registrar} 登记" if settings.sip_registrar else "等电话直接打来"
    return Check(name, True, "must", f"{how}，同时接 {settings.sip_calls} 个")


def _audio_socket(settings: Settings, base: str) -> Check:
    name, address = "AudioSocket", settings.audio_socket
    if not address:
        return Check(name, True, "should", "没有设，不从 Asterisk 接电话")
    if not base and not _can_listen(address, socket.SOCK_STREAM):
        mend = "XIANGYIN_AUDIO_SOCKET 写成 地址:端口；换一个端口，或停掉占着的程序"
        return Check(name, False, "must", f"{address} 用不了", mend)
    if address.rpartition(":")[0] in ("0.0.0.0", "[::]"):  # noqa: S104  # compared with, not bound to
        mend = "写 Asterisk 够得着的那个内网地址"
        return Check(name, False, "should", "谁都能接进来：AudioSocket 没有密码", mend)
    return Check(name, True, "must", f"在 {address} 等 Asterisk，同时接 {settings.sip_calls} 个")


def _can_listen(address: str, kind: socket.SocketKind = socket.SOCK_DGRAM) -> bool:
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        return False
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, kind) as one:
            if kind is socket.SOCK_STREAM:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the service itself does
            one.bind((host.strip("[]"), int(port)))
    except (OSError, OverflowError):
        return False
    return True


def _tls(settings: Settings) -> Check:
    name, certificate = "加密访问", settings.tls_certificate
    if certificate is not None:
        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, settings.tls_key)
        except (OSError, ssl.SSLError):
            mend = "检查 XIANGYIN_TLS_CERTIFICATE 和 XIANGYIN_TLS_KEY"
            return Check(name, False, "must", "TLS 证书或密钥读不了", mend)
        return Check(name, True, "should", "有 TLS 证书")
    if settings.host in _LOOPBACK:
        return Check(name, True, "should", "只在本机用，不需要证书；本机的浏览器给话筒")
    mend = "设 XIANGYIN_TLS_CERTIFICATE 和 XIANGYIN_TLS_KEY"
    return Check(name, False, "should", "别的机器没有证书打不开话筒，只能打字", mend)


def _wechat(settings: Settings) -> Check:
    """Settings only: the platform itself is asked by `wechat check`."""
    name = "微信公众号"
    if not settings.wechat_app_id:
        return Check(name, True, "should", "没有设，不用微信")
    Envelope(settings, Clock())
    if not settings.wechat_verified:
        return Check(
            name, False, "should", "公众号没有认证：只能五秒内当场回一条文字，社工后来的话送不到", "认证以后去掉 XIANGYIN_WECHAT_VERIFIED=false。"
        )  # fmt: skip
    return Check(name, True, "should", "设好了；通不通用 xiangyin wechat check 查")


def _wecom(settings: Settings) -> Check:
    """Settings only, as for the Official Account."""
    name = "企业微信"
    if not settings.wecom_corp_id:
        return Check(name, True, "should", "没有设，警报只在打开着的工作台上响")
    found = wecom_settings(settings)
    say = f"{found.say}；通不通用 xiangyin wechat check 查" if found.ok else found.say
    return Check(name, found.ok, "should", say, found.mend)


async def _running(base: str) -> Check:
    name = "服务"
    if not base:
        return Check(name, False, "should", "没有在运行", "make run")
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE_S)) as http,
            http.get(f"{base}/api/health", ssl=False) as response,
        ):
            dialogue = (await response.json()).get("dialogue")
    except (TimeoutError, aiohttp.ClientError, ValueError):
        return Check(
            name, False, "should", f"{base} 刚才还在，现在没有回答", "看看服务的日志，或重新 make run"
        )
    if not dialogue:
        return Check(name, False, "should", f"{base} 在运行，对话引擎还没加载好", "等一会儿再查")
    return Check(name, True, "should", f"{base} 在运行，对话引擎能用")
