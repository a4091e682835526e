"""Voice messages: real recognition and a real voice, down to AMR and MP3; what can't be heard is not lost."""

import asyncio
from datetime import timedelta
from difflib import SequenceMatcher
from pathlib import Path

import pytest
from cast import CHEST, SALT
from county import until
from speex import bare_speex
from strict_double import answer
from test_messages import talk_of
from wechat_helpers import WeChat

from connectors.settings import Settings
from connectors.wechat.double.play import to_amr
from connectors.wechat.sounds import voice_parts
from voice.audio import Sound, decode, to_mp3, to_wav
from voice.choice import choose
from voice.kokoro import RATE, Kokoro
from voice.models import ModelStore

pytestmark = pytest.mark.asyncio(loop_scope="session")
STORES = ("sqlite",)


@pytest.fixture(scope="module")
def models() -> Path:
    return Settings().models


async def test_without_anything_to_hear_it_is_said_kindly_and_the_turn_stands(wx: WeChat) -> None:
    await wx.far.speaks("o-noise", b"#!AMR\n")
    villager = wx.far.villager("o-noise")
    await wx.far.until(lambda: villager.reached)
    assert "没听到" in villager.reached[0].text
    assert len(await wx.county.turns((await talk_of(wx, "o-noise")).token)) == 1


@pytest.mark.parametrize("sound", [b"", b"#!AMR\n", b"not a sound"], ids=["nothing", "head only", "no sound"])
async def test_what_the_platform_heard_counts_where_we_hear_nothing(wx: WeChat, sound: bytes) -> None:
    openid = f"o-heard-{len(sound)}"
    await wx.far.speaks(openid, sound, recognition=SALT)
    await wx.far.until(lambda: wx.far.villager(openid).reached)
    (turn,) = await wx.county.turns((await talk_of(wx, openid)).token)
    assert (turn.text, turn.engine) == (SALT, "platform")


async def test_danger_that_the_platform_heard_does_not_wait_for_our_own_ear(wx: WeChat) -> None:
    fetched = sum(call == "media/get" for call, _ in wx.far.api.calls)
    await wx.far.speaks("o-at-once", b"#!AMR\n", recognition=CHEST)
    await wx.far.until(lambda: wx.far.villager("o-at-once").reached)
    assert "一二零" in wx.far.villager("o-at-once").reached[0].text
    assert sum(call == "media/get" for call, _ in wx.far.api.calls) == fetched


async def test_an_empty_recognition_is_none(wx: WeChat) -> None:
    await wx.far.speaks("o-empty", b"#!AMR\n", recognition="")
    await wx.far.until(lambda: wx.far.villager("o-empty").reached)
    (turn,) = await wx.county.turns((await talk_of(wx, "o-empty")).token)
    assert turn.text == ""


async def test_a_sound_that_can_not_be_fetched_now_is_fetched_later(wx: WeChat) -> None:
    """The platform keeps it for three days: a fault of its own loses nobody's words."""
    wx.far.rules.next["media/get"] = ["500"]
    await wx.far.speaks("o-later", b"#!AMR\n")
    villager = wx.far.villager("o-later")
    await until(lambda: any("没听到" in one.text for one in villager.reached))


async def test_a_sound_that_is_gone_does_not_hold_up_the_danger_told_after_it(wx: WeChat) -> None:
    wx.far.rules.next["media/get"] = [40007]
    await wx.far.speaks("o-gone", b"#!AMR\n")
    await wx.far.says("o-gone", "我不想活了")
    token = (await talk_of(wx, "o-gone")).token
    await until(lambda: wx.county.cases(token))
    assert [turn.text for turn in await wx.county.turns(token)] == ["", "我不想活了"]


@pytest.mark.slow
async def test_who_follows_is_welcomed_by_voice_too(wx: WeChat, models: Path) -> None:
    """They may not be able to read. In one piece: of three messages within a minute some are kept for words."""
    await wx.far.follows("o-hears")
    villager = wx.far.villager("o-hears")
    await wx.far.until(lambda: any(one.kind == "voice" for one in villager.reached), within_s=150)
    text, sound = villager.reached
    assert (text.how, text.kind, sound.how, sound.kind) == ("passive", "text", "custom", "voice")
    ear = choose(ModelStore(models), prefer="whisper")
    welcome = decode(sound.media)
    assert 8.0 < len(welcome.samples) / welcome.rate < 55.0
    heard = (await asyncio.to_thread(ear.transcribe, welcome)).text
    assert "社工" in heard and "按住说话" in heard


@pytest.mark.slow
async def test_a_spoken_wish_is_heard_and_answered_in_words_and_by_voice(wx: WeChat, models: Path) -> None:
    wx.county.rasa.otherwise = answer("好的，我叫社工明天给您打电话。")
    voice = Kokoro(models / "kokoro-zh")
    said = "我想找社工说说话。"
    spoken = await asyncio.to_thread(voice.speak, said, voice.voices[0], 0.9)
    amr = to_amr(to_wav(Sound(spoken, RATE)))
    await wx.far.speaks("o-voice", amr)
    villager = wx.far.villager("o-voice")
    await wx.far.until(lambda: any(one.kind == "voice" for one in villager.reached), within_s=150)
    (turn,) = await wx.county.turns((await talk_of(wx, "o-voice")).token)
    assert turn.engine == "whisper" and _alike(turn.text, said)
    text, sound = villager.reached[0], villager.reached[-1]
    assert (text.kind, sound.kind) == ("text", "voice")
    ear = choose(ModelStore(models), prefer="whisper")
    heard = await asyncio.to_thread(ear.transcribe, decode(sound.media))
    assert _alike(heard.text, "好的，我叫社工明天给您打电话。")


def _alike(heard: str, said: str) -> bool:
    """Not word for word: through eight kilohertz a small recogniser takes a syllable for its neighbour now and then."""
    return SequenceMatcher(None, heard, said).ratio() > 0.5


@pytest.mark.slow
@pytest.mark.parametrize(
    "text", ["您先别着急慢慢说我都听着呢" * 13, "好。" * 120], ids=["no sentences", "many"]
)
async def test_a_voice_message_keeps_to_the_platforms_limits(
    wx: WeChat, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """The longest part of each, at the slowest pace; what has no sentences would be more than a minute."""
    rendered, say = dict[str, Sound](), wx.inbox._way._sounds._voices.say

    async def say_once(
        words: str, **pace: float
    ) -> Sound:  # a sentence sounds alike however often it is said
        if words not in rendered:
            rendered[words] = await say(words, **pace)
        return rendered[words]

    monkeypatch.setattr(wx.inbox._way._sounds._voices, "say", say_once)
    spoken = await wx.inbox._way._sounds._spoken(max(voice_parts(text), key=len), 0.7, 1.0)
    data = await asyncio.to_thread(to_mp3, spoken)
    assert 0 < len(data) <= 2 * 1024 * 1024
    heard = decode(data)
    assert 1.0 < len(heard.samples) / heard.rate <= 60.0


@pytest.mark.slow
async def test_no_sound_is_kept(wx: WeChat) -> None:
    kept = [*wx.county.settings.data.rglob("*")]
    sounds = (b"#!AMR", b"RIFF", b"ID3", b"\xff\xfb", b"\xff\xf3")
    assert not [one for one in kept if one.is_file() and one.read_bytes().startswith(sounds)]
    assert b"#!AMR" not in b"".join(one.read_bytes() for one in kept if one.is_file())


@pytest.mark.slow
async def test_a_spoken_wish_in_bare_speex_is_heard_too(wx: WeChat, models: Path) -> None:
    voice = Kokoro(models / "kokoro-zh")
    said = "我想找社工说说话。"
    spoken = await asyncio.to_thread(voice.speak, said, voice.voices[0], 0.9)
    await wx.far.speaks("o-speex", bare_speex(Sound(spoken, RATE)), "speex")
    await wx.far.until(lambda: wx.far.villager("o-speex").reached, within_s=150)
    (turn,) = await wx.county.turns((await talk_of(wx, "o-speex")).token)
    assert turn.engine == "whisper" and _alike(turn.text, said)


@pytest.mark.slow
async def test_the_same_words_are_sent_up_once_while_the_platform_keeps_them(wx: WeChat) -> None:
    async def sent_up(openid: str) -> int:
        before, villager = wx.far.media.uploads, wx.far.villager(openid)
        await wx.far.speaks(openid, b"#!AMR\n", recognition=SALT)
        await wx.far.until(lambda: any(one.kind == "voice" for one in villager.reached), within_s=150)
        return wx.far.media.uploads - before

    await sent_up("o-same-0")
    assert await sent_up("o-same-1") == 0
    wx.county.clock.offset += timedelta(days=3)
    assert await sent_up("o-same-2") == 1
