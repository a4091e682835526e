"""Which recogniser and which voice are taken, and what is said when there is none."""

import hashlib
import os
from pathlib import Path

import pytest
from voice_helpers import tone

from voice.choice import choose, explain_choice
from voice.errors import VoiceError
from voice.model_table import Model, ModelFile
from voice.models import ModelStore
from voice.speak import Speaker

BODY = b"a model's weights"


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    """A store with the real names over tiny files: choosing looks at files and loads nothing."""
    row = ModelFile("model.bin", hashlib.sha256(BODY).hexdigest(), len(BODY))
    names = ("kokoro-zh", "whisper-base", "vosk-small-cn", "vosk-cn")
    table = tuple(Model(name, "试验", "MIT", name, (row,), (), 1, "test") for name in names)
    return ModelStore(tmp_path, table=table)


def put(store: ModelStore, *names: str) -> None:
    for name in names:
        (store.folder / name).mkdir()
        (store.folder / name / "model.bin").write_bytes(BODY)


def test_vosk_goes_first_and_the_larger_before_the_smaller(store: ModelStore) -> None:
    put(store, "whisper-base")
    assert choose(store).name == "whisper"
    put(store, "vosk-small-cn")
    assert choose(store).name == "vosk"
    assert "vosk-small-cn" in explain_choice(store)
    put(store, "vosk-cn")
    assert "vosk-cn" in explain_choice(store)


def test_the_operators_wish_goes_first_where_it_can(store: ModelStore) -> None:
    put(store, "whisper-base")
    assert choose(store, prefer="vosk").name == "whisper"
    put(store, "vosk-small-cn")
    assert choose(store, prefer="whisper").name == "whisper"
    with pytest.raises(VoiceError):
        choose(store, prefer="ear")


def test_without_any_model_the_sentence_tells_how_to_get_one(store: ModelStore) -> None:
    with pytest.raises(VoiceError) as caught:
        choose(store)
    assert caught.value.code == "model_missing"
    assert "xiangyin models fetch" in caught.value.message
    assert "xiangyin models fetch" in explain_choice(store)


def test_a_model_cut_short_makes_way_for_the_next(store: ModelStore) -> None:
    put(store, "whisper-base", "vosk-small-cn")
    os.truncate(store.folder / "vosk-small-cn" / "model.bin", 3)
    assert choose(store).name == "whisper"
    assert "不完整" in explain_choice(store)
    os.truncate(store.folder / "whisper-base" / "model.bin", 3)
    with pytest.raises(VoiceError) as caught:
        choose(store)
    assert caught.value.code == "truncated_model"


@pytest.mark.parametrize("prefer", ["whisper", "vosk"])
def test_weights_that_cannot_be_read_are_a_typed_error(store: ModelStore, prefer: str) -> None:
    put(store, "whisper-base", "vosk-small-cn")
    with pytest.raises(VoiceError) as caught:
        choose(store, prefer=prefer).load()
    assert caught.value.code == "truncated_model"


def test_without_a_neural_voice_espeak_speaks(store: ModelStore, capfd: pytest.CaptureFixture[str]) -> None:
    speaker = Speaker(store)
    assert speaker.engine == "espeak"
    sound = speaker.say("您好，请慢慢说。请拨打120。")
    assert speaker.engine == "espeak"
    assert sound.rate == 22050 and sound.seconds > 1
    assert abs(sound.samples).max() > 0.05
    slow = speaker.say("您好，请慢慢说。请拨打120。", speed=0.6)
    assert slow.seconds > sound.seconds
    assert "saved" not in capfd.readouterr().out


def test_a_neural_voice_that_cannot_be_read_makes_way_for_espeak(store: ModelStore) -> None:
    put(store, "kokoro-zh")
    speaker = Speaker(store)
    speaker.load()
    assert speaker.engine == "espeak"


def test_an_unknown_engine_is_refused(store: ModelStore) -> None:
    with pytest.raises(VoiceError):
        Speaker(store, prefer="parrot")


@pytest.mark.parametrize("text", ["", "😀", "\x00\x07", "……"])
def test_what_cannot_be_said_gives_no_sound(store: ModelStore, text: str) -> None:
    assert Speaker(store, prefer="espeak").say(text).seconds == 0


def test_playing_without_a_sound_card_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from voice.play import play

    monkeypatch.setenv("PATH", "")
    with pytest.raises(VoiceError) as caught:
        play(tone(0.1))
    assert caught.value.code == "no_player"
