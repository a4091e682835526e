"""Every setting, with its default; from the environment (XIANGYIN_…) or a file `.env` beside the project."""

import os
import secrets
from datetime import time
from functools import cached_property
from pathlib import Path
from typing import Literal

from cryptography.fernet import Fernet
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from connectors.errors import ConnectorError

ROOT = Path(__file__).resolve().parent.parent
"""The checkout, where `bot/` and `nlu_data/` lie."""


class Settings(BaseSettings):
    """How this installation runs. Paths may be relative to the project."""

    model_config = SettingsConfigDict(env_prefix="XIANGYIN_", env_file=ROOT / ".env", extra="ignore")

    data: Path = Field(
        default=ROOT / "var",
        description="where everything of this installation lies: store, keys, models of Rasa",
    )
    host: str = Field(
        default="127.0.0.1", description="address to serve on; 0.0.0.0 for a whole network (then set TLS)"
    )
    port: int = Field(default=8030, ge=0, le=65535, description="port to serve on; 0 takes any free one")
    tls_certificate: Path | None = Field(
        default=None, description="PEM file; browsers give no microphone to other machines without TLS"
    )
    tls_key: Path | None = Field(default=None, description="PEM file of the key")
    database_url: str = Field(
        default="", description="empty: SQLite in the data folder; postgresql://… for PostgreSQL"
    )
    secret_key: str = Field(
        default="", description="key of the sealed fields; empty: a file in the data folder, made once"
    )
    models: Path = Field(
        default=Path.home() / ".cache" / "xiangyin" / "models", description="folder of the speech models"
    )
    encoder: Path = Field(
        default=ROOT / "nlu_data" / "encoder",
        description="folder of the sentence encoder that Rasa and the danger screen share",
    )
    region: Literal["all", "southwest", "jin", "northeast", "central"] = Field(
        default="all", description="whose answers are used beside those that hold everywhere"
    )
    hub_mirror: str = Field(
        default="", description="a mirror of the model hub, such as https://mirror.example"
    )
    recogniser: Literal["auto", "vosk", "whisper"] = Field(
        default="auto", description="auto: Vosk where its Chinese model is present, else Whisper"
    )
    voice: Literal["auto", "kokoro", "espeak"] = Field(
        default="auto", description="auto: the neural voice, espeak-ng as the last resort"
    )
    public_url: str = Field(
        default="", description="address under which others reach this service, such as https://xy.example.cn"
    )
    wechat_app_id: str = Field(
        default="", description="AppID of the Official Account (服务号); empty: no WeChat"
    )
    wechat_secret: str = Field(default="", description="its AppSecret")
    wechat_token: str = Field(default="", description="the Token entered under 服务器配置")
    wechat_aes_key: str = Field(
        default="", description="the EncodingAESKey (43 characters); empty: plain mode only"
    )
    wechat_verified: bool = Field(
        default=True, description="whether the account is verified (已认证): only then it may write by itself"
    )
    wechat_subscription: str = Field(
        default="",
        description="template id of a 订阅通知 that says that words are waiting; empty: none is sent",
    )
    wechat_subscription_keys: str = Field(
        default="thing1",
        description="the template's keywords, parted by commas: thing, time, date, phrase or const",
    )
    wechat_api: str = Field(
        default="https://api.weixin.qq.com",
        description="the platform's address, or that of `wechat simulate`",
    )
    wechat_open: str = Field(
        default="https://open.weixin.qq.com", description="where web authorisation begins"
    )
    wecom_corp_id: str = Field(
        default="", description="CorpID of WeCom (企业微信); empty: workers are told by the console only"
    )
    wecom_agent_id: int = Field(default=0, description="AgentId of the application in WeCom")
    wecom_secret: str = Field(default="", description="the application's Secret")
    wecom_token: str = Field(default="", description="Token of the application's 接收消息")
    wecom_aes_key: str = Field(default="", description="EncodingAESKey of the application's 接收消息")
    wecom_api: str = Field(
        default="https://qyapi.weixin.qq.com", description="WeCom's address, or that of `wechat simulate`"
    )
    quiet_from: time = Field(
        default=time(21, 0), description="from then on nobody is rung up for what can wait"
    )
    quiet_to: time = Field(default=time(7, 30), description="until then")
    sip_dial: str = Field(
        default="sip:{number}@{domain}",
        description="how a worker's number is rung up; {domain} is XIANGYIN_SIP_DOMAIN",
    )
    sip_user: str = Field(
        default="", description="the telephone's name at the exchange or trunk; empty: no telephone"
    )
    sip_domain: str = Field(
        default="", description="the exchange's or trunk's domain, with a port if need be"
    )
    sip_password: str = Field(
        default="", description="its password; may be empty where addresses are trusted"
    )
    sip_registrar: str = Field(
        default="", description="where to register; empty: calls come directly, nothing is registered"
    )
    sip_listen: str = Field(default="", description="ADDRESS:PORT to take calls on; empty: any free port")
    sip_interface: str = Field(
        default="",
        description="network interface or address for calls; empty: found by itself, never loopback",
    )
    calls_out: bool = Field(
        default=True,
        description="whether the telephone rings people up by itself: a call that broke off, a reminder, whether it helped",
    )
    audio_socket: str = Field(
        default="",
        description="ADDRESS:PORT on which an Asterisk hands over calls by AudioSocket; empty: none",
    )
    record_calls: bool = Field(
        default=False,
        description="whether the sound of a caller's words is kept for the worker, where the caller agrees to it",
    )
    recordings_days: int = Field(
        default=90, ge=1, description="days after which the sound of a call is deleted; the words stay"
    )
    sip_calls: int = Field(default=6, ge=1, description="calls at once; further ones hear busy")
    rasa_url: str = Field(
        default="", description="address of a Rasa started elsewhere; empty: one is started and supervised"
    )
    rasa_python: Path = Field(
        default=ROOT / "bot" / ".venv" / "bin" / "python", description="Python of Rasa's own environment"
    )
    rasa_models: Path = Field(
        default=ROOT / "var" / "rasa",
        description="folder of Rasa's trained models, shared by all services of this checkout",
    )
    warm_voices: bool = Field(
        default=True, description="load ears and voice at the start rather than at their first use"
    )
    ends_with_stdin: bool = Field(
        default=False, description="for a service that another program starts: end when standard input does"
    )
    dialogue_timeout_s: float = Field(
        default=4.0, gt=0, description="after so many seconds without an answer from Rasa a person is asked"
    )
    rasa_patience_s: float = Field(
        default=180.0, gt=0, description="so long Rasa may take to load before it is started anew"
    )

    def at(self, *parts: str) -> Path:
        """A path inside the data folder."""
        return self.data.joinpath(*parts)

    @property
    def store_url(self) -> str:
        """Where people and cases are kept."""
        return self.database_url or f"sqlite:///{self.at('xiangyin.db')}"

    @property
    def engine_url(self) -> str:
        """Where the durable engine keeps its own records."""
        return self.database_url or f"sqlite:///{self.at('engine.db')}"

    @cached_property
    def key(self) -> bytes:
        """The key of the sealed fields; made at the first start, readable by its owner only."""
        return (self.secret_key or self._kept_secret("secret.key", Fernet.generate_key().decode())).encode()

    @cached_property
    def api_token(self) -> str:
        """The secret of the command line's way into a running service."""
        return self._kept_secret("api.token", secrets.token_urlsafe(32))

    def _kept_secret(self, name: str, fresh: str) -> str:
        path = self.at(name)
        try:
            self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(fresh)
        except FileExistsError:
            return self._read_secret(path)
        except OSError as error:
            raise ConnectorError(
                "data_folder",
                f"数据目录 {self.data} 写不进去（{error.strerror}）。请检查磁盘和权限，或改 XIANGYIN_DATA。",
            ) from error
        return fresh

    def _read_secret(self, path: Path) -> str:
        try:
            return path.read_text("ascii").strip()
        except (OSError, UnicodeError) as error:
            raise ConnectorError("bad_key", f"{path} 读不了，或者内容坏了。请放回备份里的那一份。") from error


def read_settings(**given: object) -> Settings:
    """The settings; raises ConnectorError naming each one that is wrong, without its value."""
    try:
        settings = Settings(**given)  # type: ignore[arg-type]  # pydantic checks what is given
    except ValidationError as error:
        wrong = "；".join(
            f"XIANGYIN_{'.'.join(map(str, item['loc'])).upper()}：{item['msg']}" for item in error.errors()
        )
        raise ConnectorError("bad_settings", f"设置不对：{wrong}。请检查环境变量和 .env 文件。") from error
    settings.data = (ROOT / settings.data).resolve()
    settings.rasa_models = (ROOT / settings.rasa_models).resolve()
    settings.models = (ROOT / settings.models.expanduser()).resolve()
    return settings
