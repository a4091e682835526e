"""Which recogniser hears: the first of those whose model is here."""

from pathlib import Path

import structlog

from voice.errors import VoiceError
from voice.models import ModelStore
from voice.recognise import Recogniser

log = structlog.get_logger("voice.choice")

# The larger Vosk model is only here when somebody asked for it by name, so it goes first.
_ORDER = (("vosk", "vosk-cn"), ("vosk", "vosk-small-cn"), ("whisper", "whisper-base"))


def choose(models: ModelStore, *, prefer: str = "auto", prompt: str = "") -> Recogniser:
    """The first engine whose model is whole: Vosk, else Whisper; `prefer` (auto, vosk, whisper) goes first.

    `prompt`: words Whisper should expect. Not loaded yet. Raises VoiceError model_missing or truncated_model.
    """
    name = _first_present(models, prefer)
    if name is None:
        return _none_present(models)
    engine = dict((model, engine) for engine, model in _ORDER)[name]
    log.info("recogniser_chosen", engine=engine, model=name)
    return _build(engine, models.path(name), prompt)


def explain_choice(models: ModelStore, *, prefer: str = "auto") -> str:
    """One Chinese sentence for the operator: which recogniser is used and why."""
    name = _first_present(models, prefer)
    if name is None:
        return "语音识别：没有可用的模型，听不懂人说话，请运行：xiangyin models fetch"
    if name == "whisper-base":
        state = {"missing": "不在", "broken": "文件不完整", "present": "在，但设置里优先用 Whisper"}
        return f"语音识别：用 Whisper（whisper-base），因为 Vosk 中文模型{state[models.state('vosk-small-cn')]}。"
    return f"语音识别：用 Vosk（{name}），中文模型在，边听边认。"


def _first_present(models: ModelStore, prefer: str) -> str | None:
    if prefer not in ("auto", "vosk", "whisper"):
        raise VoiceError("engine_failed", "语音识别引擎只能选 auto、vosk 或 whisper，请改设置。")
    ordered = sorted(_ORDER, key=lambda row: row[0] != prefer) if prefer != "auto" else list(_ORDER)
    return next((model for _, model in ordered if models.state(model) == "present"), None)


def _none_present(models: ModelStore) -> Recogniser:
    broken = [model for _, model in _ORDER if models.state(model) == "broken"]
    if broken:
        raise VoiceError(
            "truncated_model", f"识别模型 {broken[0]} 的文件不完整，请运行：xiangyin models fetch {broken[0]}"
        )
    raise VoiceError("model_missing", "还没有语音识别模型，请运行：xiangyin models fetch")


def _build(engine: str, path: Path, prompt: str) -> Recogniser:
    # Each engine's library takes long to import; only the chosen one is.
    if engine == "vosk":
        from voice.vosk_engine import VoskRecogniser

        return VoskRecogniser(path)
    from voice.whisper_engine import WhisperRecogniser

    return WhisperRecogniser(path, prompt=prompt)
