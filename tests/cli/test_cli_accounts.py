"""`xiangyin worker` and `xiangyin models list`, as text and as JSON."""

from pathlib import Path

from xiangyin_command import Here


def test_an_account_from_its_making_to_its_end(here: Here, tmp_path: Path) -> None:
    added = here(tmp_path, "worker", "add", "xiaohe", "--display-name", "社工小何")
    assert added.status == 0
    assert "社工小何" in added.out
    assert added.out.count("密码 ") == 1

    here(tmp_path, "worker", "add", "fangjie", "--role", "volunteer")
    found = {one["name"]: one for one in here(tmp_path, "worker", "list", "--json").objects}
    assert found["xiaohe"] == {
        "name": "xiaohe", "display_name": "社工小何", "role": "worker", "on_duty": True, "disabled": False, "wecom": None, "has_phone": False,
    }  # fmt: skip
    assert found["fangjie"]["role"] == "volunteer"

    assert here(tmp_path, "worker", "disable", "xiaohe").status == 0
    listed = here(tmp_path, "worker", "list").out.splitlines()
    assert [line.split("\t")[-1] for line in listed] == ["已停用", "值班"]


def test_accounts_that_cannot_be(here: Here, tmp_path: Path) -> None:
    assert here(tmp_path, "worker", "add", "xiaohe").status == 0
    assert "name_taken" in here(tmp_path, "worker", "add", "xiaohe").complaint
    assert "bad_role" in here(tmp_path, "worker", "add", "other", "--role", "king").complaint
    assert "bad_account" in here(tmp_path, "worker", "add", " ").complaint
    assert "no_such_worker" in here(tmp_path, "worker", "disable", "nobody").complaint


def test_where_a_worker_is_told_in_wecom(here: Here, tmp_path: Path) -> None:
    for name in ("xiaohe", "xiaoqin"):
        here(tmp_path, "worker", "add", name)
    here(tmp_path, "worker", "add", "fangjie", "--role", "volunteer")
    assert here(tmp_path, "worker", "wecom", "xiaohe", "HeXiao").status == 0
    found = {one["name"]: one["wecom"] for one in here(tmp_path, "worker", "list", "--json").objects}
    assert found == {"xiaohe": "HeXiao", "xiaoqin": None, "fangjie": None}
    # WeCom knows no difference between capitals and small letters.
    assert "wecom_taken" in here(tmp_path, "worker", "wecom", "xiaoqin", "hexiao").complaint
    for wrong in ("@all", "a|b", "何晓", "", "a" * 65):
        assert "bad_wecom_id" in here(tmp_path, "worker", "wecom", "xiaoqin", wrong).complaint
    assert "bad_role" in here(tmp_path, "worker", "wecom", "fangjie", "fang").complaint
    assert "no_such_worker" in here(tmp_path, "worker", "wecom", "nobody", "x").complaint
    assert here(tmp_path, "worker", "wecom", "xiaohe").status == 2
    assert here(tmp_path, "worker", "wecom", "xiaohe", "x", "--clear").status == 2
    assert here(tmp_path, "worker", "wecom", "xiaohe", "--clear").status == 0
    assert here(tmp_path, "worker", "wecom", "xiaoqin", "hexiao").status == 0


def test_the_models_and_whether_they_are_here(here: Here, tmp_path: Path) -> None:
    found = here(tmp_path, "models", "list", "--json", MODELS=str(tmp_path / "models")).objects
    states = {one["name"]: one["state"] for one in found}
    assert states["kokoro-zh"] == states["whisper-base"] == states["vosk-small-cn"] == "missing"
    assert all(one["licence"] and one["purpose"] and one["mb"] > 0 for one in found)
    shown = here(tmp_path, "models", "list", MODELS=str(tmp_path / "models")).out
    assert len(shown.splitlines()) == len(found)


def test_a_model_that_nobody_knows(here: Here, tmp_path: Path) -> None:
    assert "unknown_model" in here(tmp_path, "models", "fetch", "nosuch").complaint
