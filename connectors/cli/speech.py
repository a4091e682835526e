"""Recordings to words, words to recordings, and the models both need."""

import json
import time
from pathlib import Path

from connectors.settings import Settings
from voice.audio import decode, save_wav
from voice.choice import choose
from voice.errors import VoiceError
from voice.model_table import REQUIRED, WANTED
from voice.models import ModelStore
from voice.speak import Speaker


def model_store(settings: Settings) -> ModelStore:
    """The store of speech models that the settings name."""
    return ModelStore(settings.models, hub_mirror=settings.hub_mirror or None)


def transcribe_files(settings: Settings, files: list[Path]) -> int:
    """One JSON object a file; a file that can't be read has `error` instead of words. 1 if any failed."""
    recogniser = choose(model_store(settings), prefer=settings.recogniser)
    recogniser.load()
    failed = 0
    for file in files:
        began = time.monotonic()
        try:
            heard = recogniser.transcribe(decode(file))
            fields = {
                "file": str(file),
                "text": heard.text,
                "confidence": round(heard.confidence, 4),
                "engine": heard.engine,
                "seconds": round(heard.seconds, 3),
                "took": round(time.monotonic() - began, 3),
            }
        except VoiceError as error:
            failed = 1
            fields = {
                "file": str(file),
                "text": "",
                "confidence": 0.0,
                "engine": recogniser.name,
                "seconds": 0.0,
                "took": round(time.monotonic() - began, 3),
                "error": error.code,
                "say": error.message,
            }
        print(json.dumps(fields, ensure_ascii=False), flush=True)
    return failed


def say_to_file(settings: Settings, text: str, out: Path, speed: float) -> None:
    """Speak the text into a WAV file."""
    speaker = Speaker(model_store(settings), prefer=settings.voice)
    speaker.load()
    sound = speaker.say(text, speed=speed)
    save_wav(sound, out)
    print(
        json.dumps(
            {"file": str(out), "engine": speaker.engine, "seconds": round(sound.seconds, 3)},
            ensure_ascii=False,
        )
    )


def list_models(settings: Settings, as_json: bool) -> None:
    """Every model of the table and whether it is here."""
    store = model_store(settings)
    state_zh = {"present": "在", "missing": "不在", "broken": "坏了"}
    for model in store.table:
        state = store.state(model.name)
        if as_json:
            fields = {
                "name": model.name,
                "purpose": model.purpose,
                "licence": model.licence,
                "mb": model.megabytes,
                "state": state,
            }
            print(json.dumps(fields, ensure_ascii=False))
        else:
            row = (model.name, f"{model.megabytes} MB", model.licence, state_zh[state], model.purpose)
            print("\t".join(row))


def fetch_models(settings: Settings, names: list[str], required_only: bool) -> None:
    """Fetch by name, or what is needed; what is only wanted is passed over with a word where it can't be had."""
    store = model_store(settings)
    for name in names or REQUIRED:
        store.fetch(name)
    if names or required_only:
        return
    for name in WANTED:
        try:
            store.fetch(name)
        except VoiceError as error:
            print(f"{name} 这次取不到，先不用它：{error.message}")
