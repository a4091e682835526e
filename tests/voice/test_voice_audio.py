"""What people send is decoded, or refused with a clear sentence."""

import io
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from speex import bare_speex, speex
from voice_helpers import encoded, tone

from voice.audio import (
    Sound,
    decode,
    from_pcm16,
    from_wav,
    has_speech,
    save_wav,
    to_mp3,
    to_pcm16,
    to_wav,
)
from voice.errors import VoiceError

FORMATS = [
    ("wav", "pcm_s16le", 44100),
    ("wav", "pcm_mulaw", 8000),
    ("mp3", "libmp3lame", 44100),
    ("ogg", "libopus", 48000),
    ("webm", "libopus", 48000),
    ("amr", "libopencore_amrnb", 8000),
    ("flac", "flac", 44100),
    ("adts", "aac", 44100),
    ("mp4", "aac", 44100),
]


@pytest.mark.parametrize(("container", "codec", "rate"), FORMATS)
def test_every_common_format_is_heard_at_16_khz(container: str, codec: str, rate: int) -> None:
    heard = decode(encoded(tone(2.0), container, codec, rate))
    assert heard.rate == 16000
    assert heard.samples.dtype == np.float32 and heard.samples.ndim == 1
    assert heard.seconds == pytest.approx(2.0, abs=0.15)
    assert np.abs(heard.samples).max() > 0.1


@pytest.mark.parametrize("form", [speex, bare_speex], ids=["in Ogg", "bare, as WeChat hands it over"])
def test_speex_is_heard(form: Callable[[Sound], bytes]) -> None:
    heard = decode(form(tone(2.0)))
    assert heard.rate == 16000 and heard.seconds == pytest.approx(2.0, abs=0.15)
    loudest = np.abs(np.fft.rfft(heard.samples[4000:20000])).argmax()
    wanted = np.abs(np.fft.rfft(tone(2.0).at(16000).samples[4000:20000])).argmax()
    assert abs(int(loudest) - int(wanted)) <= 2


def test_bare_speex_cut_short_or_far_too_long_is_met_like_any_other() -> None:
    whole = bare_speex(tone(4.0))
    assert 1.8 < decode(whole[: len(whole) // 2]).seconds < 2.2
    with pytest.raises(VoiceError) as caught:
        decode(whole * 40)
    assert caught.value.code == "too_long"


@pytest.mark.parametrize("body", [bytes([70]) * 5000, bytes(5000), bytes([70]) + bytes(70)])
def test_what_only_looks_like_speex_breaks_nothing(body: bytes) -> None:
    try:
        assert decode(body).seconds < 10
    except VoiceError as error:
        assert error.code == "not_audio"


def test_stereo_becomes_mono(tmp_path: Path) -> None:
    path = tmp_path / "stereo.mp3"
    path.write_bytes(encoded(tone(1.0), "mp3", "libmp3lame", 44100, layout="stereo"))
    assert decode(path).seconds == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("body", [b"", None])
def test_an_empty_recording_is_named_as_such(body: bytes | None, tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    with pytest.raises(VoiceError) as caught:
        decode(tmp_path / "empty.wav" if body is None else body)
    assert caught.value.code == "empty_audio"


@pytest.mark.parametrize(
    "body",
    [
        "你好，我不是录音。".encode() * 50,
        b"\x89PNG\r\n\x1a\n" + bytes(2000),
        np.random.default_rng(5).bytes(20000),
        b"RIFF",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
    ],
    ids=["text", "picture", "random", "four bytes", "playlist", "script"],
)
def test_what_is_not_audio_is_refused(body: bytes) -> None:
    with pytest.raises(VoiceError) as caught:
        decode(body)
    assert caught.value.code == "not_audio"
    assert "录" in caught.value.message or "声音" in caught.value.message


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VoiceError) as caught:
        decode(tmp_path / "nowhere.wav")
    assert caught.value.code == "not_audio"


def test_a_film_without_sound_is_refused() -> None:
    import av

    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as box:
        stream = box.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), dtype=np.uint8), format="rgb24")
        box.mux(stream.encode(frame))
        box.mux(stream.encode(None))
    with pytest.raises(VoiceError) as caught:
        decode(out.getvalue())
    assert caught.value.code == "not_audio"


@pytest.mark.parametrize(
    ("container", "codec"), [("wav", "pcm_s16le"), ("mp3", "libmp3lame"), ("ogg", "libopus")]
)
def test_a_recording_cut_short_gives_what_it_still_holds(container: str, codec: str) -> None:
    whole = encoded(tone(4.0, 48000), container, codec, 48000)
    heard = decode(whole[: len(whole) // 2])
    assert 1.0 < heard.seconds < 3.0


def test_a_ten_minute_recording_is_refused_without_decoding_it_whole() -> None:
    with pytest.raises(VoiceError) as caught:
        decode(to_wav(tone(600.0, 8000)))
    assert caught.value.code == "too_long"
    assert "120" in caught.value.message


def test_the_limit_is_the_callers() -> None:
    long = to_wav(tone(130.0, 8000))
    assert decode(long, limit_s=140).seconds == pytest.approx(130.0, abs=0.2)
    with pytest.raises(VoiceError):
        decode(long, limit_s=60)


def test_wav_goes_there_and_back(tmp_path: Path) -> None:
    sound = tone(0.5, 24000)
    save_wav(sound, tmp_path / "a.wav")
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24000)
    back = from_wav((tmp_path / "a.wav").read_bytes())
    assert back.rate == 24000
    assert np.allclose(back.samples, sound.samples, atol=1e-3)


def test_saving_onto_a_full_disk_says_so() -> None:
    with pytest.raises(VoiceError) as caught:
        save_wav(tone(0.5), Path("/dev/full"))
    assert caught.value.code == "disk_full"


def test_saving_where_no_folder_is_says_so(tmp_path: Path) -> None:
    with pytest.raises(VoiceError) as caught:
        save_wav(tone(0.1), tmp_path / "no" / "folder" / "a.wav")
    assert caught.value.code == "folder_unwritable"


def test_half_a_sample_is_dropped_and_loud_sound_is_clipped() -> None:
    assert len(from_pcm16(b"\x00\x01\x02", 8000).samples) == 1
    loud = Sound(np.array([2.0, -2.0], dtype=np.float32), 8000)
    assert from_pcm16(to_pcm16(loud), 8000).samples == pytest.approx([1.0, -1.0], abs=1e-3)


@pytest.mark.parametrize("level", [0.0, 0.02, 0.3])
def test_nobody_speaks_in_silence_or_noise(level: float) -> None:
    noise = np.random.default_rng(3).standard_normal(16000 * 5) * level
    sound = Sound(noise.astype(np.float32), 16000)
    assert not has_speech(sound)


def test_nobody_speaks_in_no_sound_at_all() -> None:
    assert not has_speech(Sound(np.zeros(0, dtype=np.float32), 8000))


def test_mp3_is_a_minute_in_less_than_what_wechat_takes() -> None:
    sound = Sound((np.sin(np.arange(24000 * 60) / 20) / 3).astype(np.float32), 24000)
    data = to_mp3(sound)
    assert data[:3] == b"ID3"
    assert len(data) < 2 * 1024 * 1024
    assert abs(decode(data).seconds - 60) < 0.2
