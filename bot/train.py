"""Trains the model: `python bot/train.py --data nlu_data/nlu --out FILE.tar.gz [--quiet]`."""

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
import time
import warnings
from pathlib import Path

from strict.lean import keep_unused_libraries_out

BOT = Path(__file__).resolve().parent


class BadData(ValueError):
    """A file of examples cannot be used; the message names it."""


def main() -> int:
    """0 when the model is written, 1 when data or project are malformed, 2 on bad usage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with one .yml of examples a need")
    parser.add_argument("--out", type=Path, required=True, help="the model to write, .tar.gz")
    parser.add_argument("--quiet", action="store_true", help="say nothing unless it fails")
    asked = parser.parse_args()
    if not asked.out.name.endswith(".tar.gz"):
        parser.error("--out must end in .tar.gz")
    try:
        _train(asked.data, asked.out.resolve(), _silent if asked.quiet else _shown)
    except BadData as bad:
        print(f"训练数据有问题：{bad}", file=sys.stderr)
        return 1
    return 0


def _shown(line: str) -> None:
    print(line, flush=True)


def _silent(_line: str) -> None:
    pass


def _train(data: Path, out: Path, tell) -> None:
    began = time.monotonic()
    # More than one thread of linear algebra is slower on the small products made here.
    os.environ |= {"RASA_TELEMETRY_ENABLED": "false", "TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"}
    os.environ["SQLALCHEMY_SILENCE_UBER_WARNING"] = "1"
    tell("1/4 载入 Rasa")
    keep_unused_libraries_out(training=True)
    with _nothing_printed():
        import rasa.model_training  # noqa: F401
        import structlog
    structlog.configure(processors=[_drop_event])
    tell("2/4 检查例句")
    with _nothing_printed():
        counts = _checked_examples(data.resolve())
    tell(f"    {len(counts)} 种意图，{sum(counts.values())} 句例句")
    tell("3/4 训练")
    with tempfile.TemporaryDirectory(prefix="xiangyin-train-") as folder:
        model = _run_rasa(data.resolve(), Path(folder))
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = out.with_name(f".{out.name}.{os.getpid()}")
        shutil.move(model, partial)
        partial.replace(out)
    tell(f"4/4 完成：{out}（{out.stat().st_size / 1e6:.1f} MB，{time.monotonic() - began:.0f} 秒）")


@contextlib.contextmanager
def _nothing_printed():
    """Rasa draws bars, ticks and deprecations that tell an operator nothing."""
    with open(os.devnull, "w") as nowhere, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            yield


def _drop_event(*_args: object) -> dict:
    import structlog

    raise structlog.DropEvent


def _checked_examples(data: Path) -> dict[str, int]:
    """Examples by intent; raises BadData naming the file, and the line where YAML tells it."""
    from rasa.shared.core.domain import Domain
    from rasa.shared.exceptions import RasaException

    files = sorted([*data.glob("*.yml"), *data.glob("*.yaml")])
    own = BOT / "data" / "answers.yml"
    if not files:
        raise BadData(f"{data} 里没有 .yml 文件")
    try:
        known = set(Domain.load(str(BOT / "domain")).intents)
    except RasaException as fault:
        raise BadData(f"{BOT / 'domain'} 读不懂（{type(fault).__name__}）：{fault}") from fault
    counts: dict[str, int] = {}
    for file in [*files, own]:
        for intent, number in _examples_of(file).items():
            if intent not in known:
                raise BadData(f"{file}：意图 {intent} 不在 bot/domain 里")
            counts[intent] = counts.get(intent, 0) + number
    if missing := sorted(known - set(counts) - _default_intents()):
        raise BadData(f"{data}：这些意图一句例句也没有：{'、'.join(missing)}")
    return counts


def _default_intents() -> set[str]:
    from rasa.shared.core.constants import DEFAULT_INTENTS

    return set(DEFAULT_INTENTS)


def _examples_of(file: Path) -> dict[str, int]:
    from rasa.shared.exceptions import RasaException
    from rasa.shared.nlu.training_data.formats.rasa_yaml import RasaYAMLReader

    try:
        found = RasaYAMLReader().read(str(file))
    except (RasaException, UnicodeError, OSError, AttributeError, TypeError, KeyError, ValueError) as fault:
        reason = str(fault).strip().splitlines()
        raise BadData(f"{file} 读不懂（{type(fault).__name__}）：{reason[0] if reason else ''}") from fault
    counts = {intent: number for intent, number in found.number_of_examples_per_intent.items()}
    if not counts:
        raise BadData(f"{file}：没有例句")
    return counts


def _run_rasa(data: Path, folder: Path) -> str:
    from rasa.model_training import train
    from rasa.shared.exceptions import RasaException

    os.environ.setdefault("RASA_CACHE_DIRECTORY", str(folder / "cache"))
    try:
        with _nothing_printed():
            result = train(
                domain=str(BOT / "domain"),
                config=str(BOT / "config.yml"),
                training_files=[str(data), str(BOT / "data")],
                output=str(folder),
                fixed_model_name="model",
                force_training=True,
            )
    except RasaException as fault:
        raise BadData(f"{BOT}：{fault}") from fault
    if result.code or not result.model:
        raise BadData(f"{data}：Rasa 没有训练出模型")
    return result.model


if __name__ == "__main__":
    sys.exit(main())
