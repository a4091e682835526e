"""What stands on the screen becomes what a voice can say."""

import pytest

from voice.speak import Speaker, spoken_digits
from voice.speech_text import sentences, speakable


@pytest.mark.parametrize(
    ("digits", "said"),
    [
        ("120", "幺二零"),
        ("110", "幺幺零"),
        ("12356", "幺二三五六"),
        ("3021", "三、零、二、幺"),
        ("13812345678", "幺三八，幺二三四，五六七八"),
        ("010-12345678", "零幺零，幺二三四，五六七八"),
        ("", ""),
    ],
)
def test_digits_are_read_one_by_one(digits: str, said: str) -> None:
    assert spoken_digits(digits) == said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("请马上拨打120。", "请马上拨打幺二零。"),
        ("打12356也行", "打幺二三五六也行"),
        ("１２３４５热线", "幺二三四五热线"),
        ("您的编号是3021，请记好", "您的编号是三、零、二、幺，请记好"),
        ("补贴是120元", "补贴是120元"),
        ("一共1,500.5元", "一共1500.5元"),
        ("拨打120，车费300元", "拨打幺二零，车费300元"),
        ("体温38.5度", "体温38.5度"),
        ("2024年3月5日", "2024年3月5日"),
        ("每天2-3次", "每天2到3次"),
        ("早上8:05来", "早上8点零5分来"),
        ("下午14:30来", "下午14点30分来"),
        ("有2个人", "有两个人"),
        ("做个CT", "做个西踢"),
        ("好的👌谢谢", "好的 谢谢"),
        ("头\x00很\x07痛", "头 很 痛"),
    ],
)
def test_numbers_letters_and_signs_are_read_as_people_read_them(written: str, said: str) -> None:
    assert speakable(written) == said


@pytest.mark.parametrize("text", ["", "   ", "😀😀", "……！", "\x00\x01", "Здравствуйте", "สวัสดี"])
def test_what_cannot_be_said_is_left_out(text: str) -> None:
    assert speakable(text) == ""


def test_sentences_come_in_order_and_lose_nothing() -> None:
    text = "奶奶，您好！哪里不舒服？慢慢说，我听着呢。\n不急"
    pieces = sentences(text)
    assert pieces == ["奶奶，您好！", "哪里不舒服？", "慢慢说，我听着呢。", "不急"]
    assert Speaker.sentences(text) == pieces


def test_a_closing_quote_stays_with_its_sentence() -> None:
    assert sentences("她说：“我头晕。”然后坐下了。") == ["她说：“我头晕。”", "然后坐下了。"]


def test_long_text_is_cut_at_commas_into_short_pieces() -> None:
    text = "我们已经把您的事情告诉了村里的社工，" * 300
    pieces = sentences(text)
    assert "".join(pieces) == text
    assert all(0 < len(piece) <= 60 for piece in pieces)


def test_text_without_any_pause_is_cut_too() -> None:
    pieces = sentences("好" * 5000)
    assert "".join(pieces) == "好" * 5000
    assert max(map(len, pieces)) <= 60


def test_pieces_with_nothing_to_say_are_dropped() -> None:
    assert sentences("好。。。！😀！嗯。") == ["好。。。！", "嗯。"]
    assert sentences("") == []
