"""The real engines with their real models."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from voice.audio import Sound, from_wav, speech_spans, to_pcm16
from voice.choice import choose
from voice.models import ModelStore
from voice.recognise import Recogniser, Transcript, always
from voice.second_opinion import SecondOpinion
from voice.speak import Speaker
from voice.vosk_engine import VoskRecogniser
from voice.whisper_engine import WhisperRecogniser

pytestmark = pytest.mark.slow

SENTENCE = "我头很痛，请帮我叫医生。"


@pytest.fixture(scope="module")
def whisper(models: ModelStore, real_model: Callable[[str], Path]) -> Recogniser:
    real_model("whisper-base")
    return choose(models, prefer="whisper", prompt="以下是老人说的普通话。")


@pytest.fixture(scope="module")
def vosk(real_model: Callable[[str], Path]) -> VoskRecogniser:
    """The Vosk model the registries carry hears Korean: the words are wrong, the engine is real."""
    recogniser = VoskRecogniser(real_model("vosk-ko"))
    recogniser.load()
    return recogniser


@pytest.fixture(scope="module")
def spoken(speaker: Speaker) -> Sound:
    return speaker.say(SENTENCE).at(16000)


def silence(seconds: float, level: float = 0.0) -> Sound:
    noise = np.random.default_rng(1).standard_normal(int(16000 * seconds)) * level
    return Sound(noise.astype(np.float32), 16000)


def test_what_is_said_is_heard_again(whisper: Recogniser, spoken: Sound) -> None:
    heard = whisper.transcribe(spoken)
    assert "头很痛" in heard.text
    assert 0.3 < heard.confidence <= 1
    assert heard.engine == "whisper"
    assert heard.seconds == pytest.approx(spoken.seconds) and heard.took > 0


def test_telephone_quality_and_surrounding_silence_do_no_harm(whisper: Recogniser, spoken: Sound) -> None:
    narrow = spoken.at(8000)
    quiet = np.zeros(8000 * 3, dtype=np.float32)
    heard = whisper.transcribe(Sound(np.concatenate([quiet, narrow.samples, quiet]), 8000))
    assert "痛" in heard.text


@pytest.mark.parametrize("level", [0.0, 0.01, 0.2])
def test_whisper_invents_nothing_over_silence(whisper: Recogniser, level: float) -> None:
    heard = whisper.transcribe(silence(8, level))
    assert (heard.text, heard.confidence) == ("", 0.0)


def test_whisper_collects_a_stream(whisper: Recogniser, spoken: Sound) -> None:
    stream = whisper.stream()
    pcm = to_pcm16(spoken)
    assert {stream.feed(pcm[at : at + 3200]) for at in range(0, len(pcm), 3200)} == {""}
    assert "痛" in stream.finish().text


def test_an_empty_stream_is_nobody_speaking(whisper: Recogniser, vosk: VoskRecogniser) -> None:
    for recogniser in (whisper, vosk):
        heard = recogniser.stream().finish()
        assert (heard.text, heard.confidence, heard.seconds) == ("", 0.0, 0.0)


def test_several_threads_may_ask_at_once(whisper: Recogniser, spoken: Sound) -> None:
    with ThreadPoolExecutor(3) as pool:
        texts = {heard.text for heard in pool.map(whisper.transcribe, [spoken] * 3)}
    assert len(texts) == 1


def test_a_closed_recogniser_can_be_used_again(whisper: Recogniser, spoken: Sound) -> None:
    whisper.close()
    assert "痛" in whisper.transcribe(spoken).text


def test_vosk_gives_words_while_they_are_spoken(vosk: VoskRecogniser, spoken: Sound) -> None:
    stream = vosk.stream()
    pcm = to_pcm16(spoken)
    partials = [stream.feed(pcm[at : at + 3200]) for at in range(0, len(pcm), 3200)]
    assert any(partials[:-1])
    lengths = [len(partial) for partial in partials if partial]
    assert lengths[-1] > lengths[0]
    final = stream.finish()
    assert final.text and final.engine == "vosk"
    assert 0 < final.confidence <= 1
    assert final.seconds == pytest.approx(len(pcm) / 32000)


def test_vosk_closes_a_sentence_at_a_long_pause_and_goes_on(vosk: VoskRecogniser, spoken: Sound) -> None:
    stream = vosk.stream()
    pcm = to_pcm16(spoken) + to_pcm16(silence(4, 0.0002)) + to_pcm16(spoken)
    closed = [(stream.feed(pcm[at : at + 3200]), stream.sentences) for at in range(0, len(pcm), 3200)]
    assert max(sentences for _, sentences in closed) >= 1
    first = next(text for text, sentences in closed if sentences == 1)
    assert stream.finish().text.startswith(first[:4])


def test_vosk_hears_nobody_in_silence(vosk: VoskRecogniser) -> None:
    assert vosk.transcribe(silence(3)).text == ""


def test_vosk_takes_odd_pieces_and_whole_recordings(vosk: VoskRecogniser, spoken: Sound) -> None:
    assert vosk.stream().feed(b"") == ""
    assert vosk.stream().feed(b"\x01") == ""
    assert vosk.transcribe(spoken.at(8000)).text


# -- two engines for one ear -------------------------------------------------------------------------------


class Unsure(VoskRecogniser):
    """Vosk, never as sure as it is: what it makes of Chinese with a Korean model deserves no better."""

    def transcribe(
        self, sound: Sound, *, expect: str = "", wanted: Callable[[], bool] = always
    ) -> Transcript:
        self.heard = replace(super().transcribe(sound, expect=expect, wanted=wanted), confidence=0.1)
        return self.heard


@pytest.fixture(scope="module")
def unsure(real_model: Callable[[str], Path]) -> VoskRecogniser:
    return Unsure(real_model("vosk-ko"))


def test_what_the_first_is_unsure_of_the_other_reads_too(
    unsure: VoskRecogniser, whisper: Recogniser, spoken: Sound
) -> None:
    heard = SecondOpinion(unsure, whisper).transcribe(spoken)
    assert "痛" in heard.text and heard.engine == "whisper"
    assert unsure.transcribe(spoken).text in heard.others, "what the first heard is not lost"
    assert heard.text not in heard.others


def test_what_the_first_is_sure_of_stands_unless_nobody_waits(
    vosk: VoskRecogniser, whisper: Recogniser, spoken: Sound
) -> None:
    both = SecondOpinion(whisper, vosk)
    assert vosk.transcribe(spoken).text not in both.transcribe(spoken).others
    thorough = both.thorough().transcribe(spoken)
    assert {thorough.text, *thorough.others} >= {vosk.transcribe(spoken).text}


def test_a_stream_is_read_by_both(unsure: VoskRecogniser, whisper: Recogniser, spoken: Sound) -> None:
    stream = SecondOpinion(unsure, whisper, always=True).stream()
    pcm = to_pcm16(spoken)
    partials = [stream.feed(pcm[at : at + 3200]) for at in range(0, len(pcm), 3200)]
    heard = stream.finish()
    assert any(partials) and any("痛" in text for text in (heard.text, *heard.others))


def test_where_the_other_fails_the_first_is_enough(unsure: Unsure, spoken: Sound, tmp_path: Path) -> None:
    both = SecondOpinion(unsure, WhisperRecogniser(tmp_path / "nothing"))
    both.load()
    # Not with another reading: Vosk does not read the same sound the same way each time.
    assert both.transcribe(spoken).text == unsure.heard.text


def test_whisper_says_what_else_it_may_have_been(whisper: Recogniser, spoken: Sound) -> None:
    noise = np.random.default_rng(3).standard_normal(len(spoken.samples)).astype(np.float32) * 0.05
    heard = whisper.transcribe(Sound(spoken.samples + noise, 16000))
    assert heard.others and heard.text not in heard.others
    assert len(set(heard.others)) == len(heard.others)


def test_what_follows_a_long_pause_is_not_lost(whisper: Recogniser, speaker: Speaker) -> None:
    first, second = (speaker.say(text).at(16000).samples for text in (SENTENCE, "家里的降压药也吃完了。"))
    heard = whisper.transcribe(Sound(np.concatenate([first, silence(2.0).samples, second]), 16000))
    assert "痛" in heard.text and "药" in heard.text


def test_words_that_are_expected_are_heard_where_they_were_not(whisper: Recogniser, speaker: Speaker) -> None:
    sound = speaker.say("我家住在柳树坪。").at(8000)
    assert "柳树坪" in whisper.transcribe(sound, expect="青石村，柳树坪").text


def test_speech_is_found_between_silences(spoken: Sound) -> None:
    padded = Sound(np.concatenate([silence(3).samples, spoken.samples, silence(3).samples]), 16000)
    ((start, end),) = speech_spans(padded)
    assert 2.5 < start / 16000 < 3.5 and spoken.seconds * 0.7 < (end - start) / 16000 < spoken.seconds + 1.0


@pytest.mark.parametrize("words", ["好。", "服务的事，我帮您问。"])
def test_a_rendered_sentence_begins_at_once_and_ends_with_a_pause(speaker: Speaker, words: str) -> None:
    sound = speaker.say(words)
    voiced = np.flatnonzero(np.abs(sound.samples) > 0.1 * np.abs(sound.samples).max()) / sound.rate
    assert voiced[0] < 0.2 and 0.3 < sound.seconds - voiced[-1] < 0.9


def test_the_neural_voice_obeys_speed_and_volume(speaker: Speaker) -> None:
    assert speaker.engine == "kokoro"
    normal, slow = speaker.say("您好，奶奶。"), speaker.say("您好，奶奶。", speed=0.6)
    assert normal.rate == 24000 and slow.seconds > normal.seconds * 1.2
    loud, soft = speaker.say("您好，奶奶。", volume=1.5), speaker.say("您好，奶奶。", volume=0.3)
    assert np.abs(loud.samples).mean() > 3 * np.abs(soft.samples).mean()
    assert np.abs(loud.samples).max() <= 1.0


def test_pyttsx3_knows_the_neural_driver_by_name(speaker: Speaker, tmp_path: Path) -> None:
    import pyttsx3

    engine = pyttsx3.init("kokoro")
    voices = [voice.id for voice in engine.getProperty("voices")]
    assert "zf_xiaoxiao" in voices and len(voices) == 8
    done: list[bool] = []
    token = engine.connect("finished-utterance", lambda name, completed: done.append(completed))
    engine.setProperty("voice", "zm_yunxi")
    for name in ("a.wav", "b.wav"):
        engine.save_to_file("你好。", str(tmp_path / name))
        engine.runAndWait()
    engine.disconnect(token)
    assert done == [True, True]
    assert from_wav((tmp_path / "b.wav").read_bytes()).seconds > 0.3


@pytest.mark.parametrize("text", ["", "😀", "Здравствуйте", "\x00", "WeChat"])
def test_the_neural_voice_leaves_out_what_it_cannot_say(speaker: Speaker, text: str) -> None:
    assert speaker.say(text).seconds == 0


def test_mixed_text_is_said_as_far_as_it_goes(speaker: Speaker) -> None:
    assert speaker.say("打开微信APP😀，拨打12356\x07，再见").seconds > 1


def test_only_fixed_phrases_are_kept_on_disk(models: ModelStore, speaker: Speaker, tmp_path: Path) -> None:
    kept = Speaker(models, prefer="kokoro", cache=tmp_path / "phrases")
    kept.prepare(["您好。请说。"])
    files = sorted((tmp_path / "phrases").iterdir())
    assert len(files) == 2
    kept.say("这句话只说给您一个人听。")
    assert sorted((tmp_path / "phrases").iterdir()) == files
    before = [file.stat().st_mtime_ns for file in files]
    kept.prepare(["您好。请说。"])
    assert [file.stat().st_mtime_ns for file in files] == before
    assert np.array_equal(kept.say("您好。").samples, kept.say("您好。").samples)
    for file in files:
        file.write_bytes(b"cut short")
    assert kept.say("您好。").seconds > 0.3


def test_what_nobody_waits_for_any_more_is_given_up(whisper: WhisperRecogniser, spoken: Sound) -> None:
    assert whisper.transcribe(spoken, wanted=lambda: False).text == ""
