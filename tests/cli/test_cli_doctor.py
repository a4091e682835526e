"""`xiangyin doctor`: says what is missing and how to mend it, changes nothing, survives what is broken."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from xiangyin_command import Here

Looked = Callable[..., tuple[int, dict[str, dict[str, Any]]]]

NO_RASA = "http://127.0.0.1:9"


@pytest.fixture
def looked(here: Here) -> Looked:
    """The exit status, and the checks by their names."""

    def look(data: Path, **settings: str) -> tuple[int, dict[str, dict[str, Any]]]:
        done = here(data, "doctor", "--json", **settings)
        (report,) = done.objects
        must = [check["ok"] for check in report["checks"] if check["level"] == "must"]
        assert report["ok"] is all(must)
        assert (done.status == 0) is report["ok"]
        return done.status, {check["name"]: check for check in report["checks"]}

    return look


def test_an_empty_folder_is_well_and_stays_empty(looked: Looked, tmp_path: Path) -> None:
    _, checks = looked(tmp_path / "new", RASA_URL=NO_RASA)
    for name in ("设置", "Python", "数据目录", "数据库", "密钥", "险情词库", "语句"):
        assert checks[name]["ok"], checks[name]
    assert not (tmp_path / "new").exists()


def test_without_models_it_says_what_to_fetch(looked: Looked, tmp_path: Path) -> None:
    status, checks = looked(tmp_path, MODELS=str(tmp_path / "models"), RASA_URL=NO_RASA)
    assert status == 1
    assert not checks["听话"]["ok"]
    assert checks["听话"]["mend"] == "xiangyin models fetch"
    assert not checks["模型 whisper-base"]["ok"]


def test_without_the_dialogue_engine_it_says_how_to_get_it(looked: Looked, tmp_path: Path) -> None:
    status, checks = looked(tmp_path, RASA_PYTHON=str(tmp_path / "nowhere"))
    assert status == 1
    assert not checks["对话引擎环境"]["ok"]
    assert checks["对话引擎环境"]["mend"] == "make setup"


def test_settings_that_cannot_be_read(looked: Looked, tmp_path: Path) -> None:
    status, checks = looked(tmp_path, PORT="abc")
    assert status == 1
    assert [*checks] == ["设置"]


@pytest.mark.parametrize(
    ("file", "name"), [("xiangyin.db", "数据库"), ("secret.key", "密钥"), ("address", "服务")]
)
def test_broken_files(looked: Looked, tmp_path: Path, file: str, name: str) -> None:
    (tmp_path / file).write_bytes(b"\xff\x00 nothing of use " * 40)
    _, checks = looked(tmp_path, RASA_URL=NO_RASA)
    assert not checks[name]["ok"]
    assert checks[name]["mend"]


def test_the_key_of_another_store(looked: Looked, here: Here, tmp_path: Path) -> None:
    assert here(tmp_path, "worker", "list").status == 0
    (tmp_path / "secret.key").unlink()
    status, checks = looked(tmp_path, RASA_URL=NO_RASA)
    assert status == 1
    assert checks["数据库"]["ok"]
    assert not checks["密钥"]["ok"]


def test_a_damaged_dialogue_model(looked: Looked, tmp_path: Path) -> None:
    from connectors.rasa_model import fingerprint
    from connectors.settings import Settings

    (tmp_path / f"{fingerprint(Settings().encoder)}.tar.gz").write_bytes(b"\x1f\x8b cut short")
    _, checks = looked(tmp_path, RASA_MODELS=str(tmp_path))
    assert not checks["对话模型"]["ok"]
    assert "xiangyin train" in checks["对话模型"]["mend"]


def test_the_table_for_people(here: Here, tmp_path: Path) -> None:
    done = here(tmp_path, "doctor", MODELS=str(tmp_path / "models"), RASA_URL=NO_RASA)
    assert done.status == 1
    assert "✓" in done.out
    assert "✗" in done.out
    assert "→ xiangyin models fetch" in done.out


def test_other_machines_without_a_certificate_get_no_microphone(looked: Looked, tmp_path: Path) -> None:
    _, checks = looked(tmp_path, HOST="0.0.0.0", RASA_URL=NO_RASA)  # noqa: S104  # looked at, not bound for long
    assert not checks["加密访问"]["ok"]
    assert checks["加密访问"]["level"] == "should"


OF_WECHAT = {"WECHAT_APP_ID": "wx2c2769f8efd9abc2", "WECHAT_SECRET": "s", "WECHAT_TOKEN": "qingshi"}


def test_an_account_that_may_not_write_by_itself_is_named(looked: Looked, tmp_path: Path) -> None:
    assert "没有设" in looked(tmp_path, RASA_URL=NO_RASA)[1]["微信公众号"]["say"]
    _, checks = looked(tmp_path, RASA_URL=NO_RASA, WECHAT_VERIFIED="false", **OF_WECHAT)
    assert not checks["微信公众号"]["ok"] and "没有认证" in checks["微信公众号"]["say"]
    assert looked(tmp_path, RASA_URL=NO_RASA, **OF_WECHAT)[1]["微信公众号"]["ok"]


def test_what_wecom_lacks_is_named(looked: Looked, tmp_path: Path) -> None:
    assert "没有设" in looked(tmp_path, RASA_URL=NO_RASA)[1]["企业微信"]["say"]
    _, checks = looked(tmp_path, RASA_URL=NO_RASA, WECOM_CORP_ID="ww1")
    assert not checks["企业微信"]["ok"] and "Secret" in checks["企业微信"]["say"]
