"""Which recogniser hears: the first of those whose model is here, and another engine beside it where there is one."""

import structlog

from voice.errors import VoiceError
from voice.models import ModelStore
from voice.recognise import Recogniser
from voice.second_opinion import SecondOpinion

log = structlog.get_logger("voice.choice")

# The larger Vosk model is only here when somebody asked for it by name, so it goes first.
_ORDER = (("vosk", "vosk-cn"), ("vosk", "vosk-small-cn"), ("whisper", "whisper-base"))


def choose(models: ModelStore, *, prefer: str = "auto", prompt: str = "") -> Recogniser:
    """The first engine whose model is whole: Vosk, else Whisper; `prefer` (auto, vosk, whisper) goes first.

    With `auto` the other engine gives a second opinion. `prompt`: words Whisper should expect. Not loaded yet. Raises VoiceError model_missing or truncated_model.
    """
    name = _first_present(models, prefer)
    if name is None:
        return _none_present(models)
    first = build(models, name, prompt)
    other = _other_present(models, name) if prefer == "auto" else None
    log.info("recogniser_chosen", engine=_engine(name), model=name, second=other)
    return first if other is None else SecondOpinion(first, build(models, other, prompt))


def engines_present(models: ModelStore) -> dict[str, str]:
    """The engines that can hear Chinese here, each with its model, the one that is chosen first."""
    present: dict[str, str] = {}
    for engine, model in _ORDER:
        if models.state(model) == "present":
            present.setdefault(engine, model)
    return present


def explain_choice(models: ModelStore, *, prefer: str = "auto") -> str:
    """One Chinese sentence for the operator: which recogniser is used and why."""
    name = _first_present(models, prefer)
    if name is None:
        return "语音识别：没有可用的模型，听不懂人说话，请运行：xiangyin models fetch"
    if name == "whisper-base":
        state = {"missing": "不在", "broken": "文件不完整", "present": "在，但设置里优先用 Whisper"}
        return f"语音识别：用 Whisper（whisper-base），因为 Vosk 中文模型{state[models.state('vosk-small-cn')]}。"
    again = "拿不准的，Whisper 再听一遍。" if prefer == "auto" and _other_present(models, name) else ""
    return f"语音识别：用 Vosk（{name}），中文模型在，边听边认。{again}"


def _first_present(models: ModelStore, prefer: str) -> str | None:
    if prefer not in ("auto", "vosk", "whisper"):
        raise VoiceError("engine_failed", "语音识别引擎只能选 auto、vosk 或 whisper，请改设置。")
    ordered = sorted(_ORDER, key=lambda row: row[0] != prefer) if prefer != "auto" else list(_ORDER)
    return next((model for _, model in ordered if models.state(model) == "present"), None)


def _other_present(models: ModelStore, first: str) -> str | None:
    others = (model for engine, model in engines_present(models).items() if engine != _engine(first))
    return next(others, None)


def _engine(name: str) -> str:
    return next(engine for engine, model in _ORDER if model == name)


def _none_present(models: ModelStore) -> Recogniser:
    broken = [model for _, model in _ORDER if models.state(model) == "broken"]
    if broken:
        raise VoiceError(
            "truncated_model", f"识别模型 {broken[0]} 的文件不完整，请运行：xiangyin models fetch {broken[0]}"
        )
    raise VoiceError("model_missing", "还没有语音识别模型，请运行：xiangyin models fetch")


def build(models: ModelStore, name: str, prompt: str = "") -> Recogniser:
    """The recogniser of a model by its name, not loaded yet."""
    path = models.path(name)
    # Each engine's library takes long to import; only a chosen one is.
    if _engine(name) == "vosk":
        from voice.vosk_engine import VoskRecogniser

        return VoskRecogniser(path)
    from voice.whisper_engine import WhisperRecogniser

    return WhisperRecogniser(path, prompt=prompt)
