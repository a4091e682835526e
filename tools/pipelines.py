"""Trains several pipelines in real Rasa and measures each on the held-back needs: `make pipelines`.

Each is trained by bot/train.py in a copy of bot/ with another config.yml, served by bot/serve.py and asked over HTTP,
as the product does it. Writes docs/pipelines.md.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from connectors.settings import ROOT, Settings
from tools.evaluate import HELD_BACK, MISHEARD, as_heard, calibration, macro_f1, share, spoken_texts, table

OUT = ROOT / "docs" / "pipelines.md"
DIALECT = {"name": "components.dialect.DialectNormalizer"}
ENCODER = {"name": "components.features.EncoderFeaturizer"}
AS_IT_CAME = {"name": "components.features.EncoderFeaturizer", "folder": "as-it-came"}
NGRAMS = {"name": "CountVectorsFeaturizer", "analyzer": "char", "min_ngram": 1, "max_ngram": 2}
TOKENS = {"name": "WhitespaceTokenizer"}
RASA_LINEAR = {"name": "LogisticRegressionClassifier", "max_iter": 300, "random_state": 1}


def ours(**changed: Any) -> dict[str, Any]:
    """The product's own classifier, with changes."""
    shipped = yaml.safe_load((ROOT / "bot" / "config.yml").read_text("utf-8"))["pipeline"]
    return next(one for one in shipped if one["name"].endswith("NeedClassifier")) | changed


PIPELINES: dict[str, list[dict[str, Any]]] = {
    "Rasa's character n-grams and logistic regression": [TOKENS, NGRAMS, RASA_LINEAR],
    "Rasa's own, on our encoder's vector alone": [TOKENS, ENCODER, RASA_LINEAR],
    "Rasa's own, on n-grams and vector": [TOKENS, NGRAMS, ENCODER, RASA_LINEAR],
    "ours, n-grams alone": [ENCODER, ours(vector=0.0)],
    "ours, n-grams of up to three characters": [ENCODER, ours(longest=3)],
    "ours, with the n-grams of the sounds beside those of the characters": [
        DIALECT,
        ENCODER,
        ours() | {"name": "components.sounds.SoundsClassifier"},
    ],
    "ours, on the encoder as it came, not trained further": [DIALECT, AS_IT_CAME, ours()],
    "ours, without the dialect table": [ENCODER, ours()],
    "**ours, as shipped** (dialect table, n-grams, vector)": [DIALECT, ENCODER, ours()],
    "ours, as shipped but with more of the vector": [DIALECT, ENCODER, ours(vector=1.0)],
}


@contextmanager
def served(pipeline: list[dict[str, Any]], settings: Settings) -> Iterator[tuple[str, float, int]]:
    """A Rasa with this pipeline: its address, the seconds it took to train, its process id."""
    # A copy of bot/ finds the encoder and what it shares with the service where the project is.
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XIANGYIN_ENCODER": str(settings.encoder.resolve())}
    with tempfile.TemporaryDirectory(prefix="xiangyin-pipeline-") as folder:
        bot, model = Path(folder) / "bot", Path(folder) / "model.tar.gz"
        shutil.copytree(ROOT / "bot", bot, ignore=shutil.ignore_patterns(".venv", "__pycache__"))
        if AS_IT_CAME in pipeline:
            environment["XIANGYIN_ENCODER"] = str(as_it_came())
        _add_sounds(bot)
        config = yaml.safe_load((bot / "config.yml").read_text("utf-8")) | {"pipeline": pipeline}
        if RASA_LINEAR in pipeline:
            config["language"] = (
                "en"  # Rasa's tokenizer refuses Chinese; the n-grams are of characters anyway
            )
            # It needs a library that the product's Rasa does without, and says nothing of answers to a form.
            _change(bot / "strict" / "lean.py", '"sklearn", ', "")
            _change(bot / "strict" / "processor.py", 'parsed["answer_share"]', "0.0")
        (bot / "config.yml").write_text(yaml.safe_dump(config), "utf-8")
        began = time.monotonic()
        train = [
            settings.rasa_python,
            bot / "train.py",
            "--data",
            ROOT / "nlu_data" / "nlu",
            "--out",
            model,
            "--quiet",
        ]
        subprocess.run(train, check=True, env=environment)  # noqa: S603  # our own programs
        took = time.monotonic() - began
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        serve = [settings.rasa_python, bot / "serve.py", "--model", model, "--port", str(port)]
        with _started(serve, environment) as process:
            if process.stdout is None or process.stdin is None:
                raise RuntimeError("no pipes to Rasa")
            process.stdout.readline()
            try:
                yield f"http://127.0.0.1:{port}/webhooks/strict/turn", took, process.pid
            finally:
                process.stdin.close()
                process.wait(20)


def as_it_came() -> Path:
    """The encoder cut down but not trained further, exported once into the cache."""
    folder = Path.home() / ".cache" / "xiangyin" / "encoder" / "as-it-came"
    python = ROOT / ".venv" / "encoder" / "bin" / "python"
    if not (folder / "card.json").is_file():
        if not python.is_file():
            raise RuntimeError("the encoder's own environment is missing: run `make encoder` once")
        command = [python, ROOT / "tools" / "encoder" / "train.py", "as-it-came", "--out", folder]
        subprocess.run(command, check=True)  # noqa: S603  # our own program
    return folder


def _add_sounds(bot: Path) -> None:
    """A classifier that only this measurement has, with the sound of every character it may meet."""
    from pypinyin import Style, lazy_pinyin

    shutil.copy(ROOT / "tools" / "sounds.py", bot / "components" / "sounds.py")
    sounds = {chr(at): lazy_pinyin(chr(at), style=Style.NORMAL)[0] for at in range(0x4E00, 0x9FFF)}
    (bot / "components" / "sounds.json").write_text(json.dumps(sounds, ensure_ascii=False), "utf-8")


def _change(path: Path, before: str, after: str) -> None:
    text = path.read_text("utf-8")
    if before not in text:
        raise RuntimeError(f"{path.name} no longer holds what was to be changed in the copy")
    path.write_text(text.replace(before, after), "utf-8")


def _started(command: list[Any], environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe)  # noqa: S603  # our own programs


def ask(address: str, text: str) -> tuple[str, float]:
    """The need and how sure it is."""
    body = json.dumps({"text": text, "sender": "measure", "state": None}).encode()
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})  # noqa: S310  # loopback
    try:
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
            answer = json.load(response)
    except urllib.error.HTTPError:
        # Rasa's own classifiers take a few for answers to a form's question, to which nothing is said.
        return "answer", 0.0
    return answer["need"], answer["confidence"]


def resident_mb(pid: int) -> float:
    """What the process holds in memory now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(name: str, settings: Settings, rows: list[dict[str, Any]]) -> list[object]:
    """One line of the table."""
    truth = [row["need"] for row in rows]
    heard_by_machine = spoken_texts()
    with served(PIPELINES[name], settings) as (address, took, pid):
        ask(address, rows[0]["text"])
        clean, times = [], []
        for row in rows:
            began = time.perf_counter()
            clean.append(ask(address, row["text"]))
            times.append(time.perf_counter() - began)
        noisy = [ask(address, text) for text in as_heard(rows, MISHEARD)]
        spoken = [
            (row["need"], ask(address, heard_by_machine[row["id"]])[0])
            for row in rows
            if heard_by_machine.get(row["id"])
        ]
        memory = resident_mb(pid)
    best, heard = [need for need, _ in clean], [need for need, _ in noisy]
    right = [a == b for a, b in zip(truth, best, strict=True)]
    kept = [a == b for a, b in zip(truth, heard, strict=True)]
    return [
        name, share(sum(right), len(right)), f"{macro_f1(truth, best):.3f}", share(sum(kept), len(kept)),
        share(sum(a == b for a, b in spoken), len(spoken)), f"{calibration(clean, truth)[1]:.3f}", f"{took:.0f}", f"{sorted(times)[int(len(times) * 0.95)] * 1000:.0f}",
        f"{memory:.0f}",
    ]  # fmt: skip


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--only", default="", help="only the pipelines whose name holds this")
    args = parser.parse_args()
    settings = Settings()
    rows = yaml.safe_load((HELD_BACK / "needs.yaml").read_text("utf-8"))
    names = [name for name in PIPELINES if args.only in name]
    measured = []
    for at, name in enumerate(names, 1):
        print(f"{at}/{len(names)} {name}", flush=True)
        measured.append(measure(name, settings, rows))
        print("   ", *measured[-1][1:], flush=True)
    head = [
        "pipeline",
        "accuracy",
        "macro-F1",
        "misheard",
        "spoken",
        "calibration error",
        "training, s",
        "p95, ms",
        "memory, MB",
    ]
    args.out.write_text(
        "\n".join([
            "# Pipelines", "", f"Written by `make pipelines`: {len(rows)} held-back sentences of 23 needs, as written and with "
            f"{MISHEARD:.0%} of the characters misheard;",
            "`spoken`: those of them that `make heard` has sent through a synthetic voice, a telephone line and Whisper.",
            "Each pipeline trained and served by real Rasa, whole turns over loopback HTTP, one after the other. The held-back",
            "sentences have guided the choice of the vector's weight, so that the shipped line flatters a little.", "",
            *table(head, measured),
        ]),
        "utf-8",
    )  # fmt: skip
    print(args.out)


if __name__ == "__main__":
    main()
