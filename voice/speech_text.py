"""From text on the screen to text a voice can say: sentences, numbers, letters."""

import re

_LONGEST = 60
"""characters in one go: longer, and the first sound comes late"""
_LEAST_CLAUSE = 4
_ENDS = re.compile(r"(?<=[。！？!?；;…\n])(?![。！？!?；;…”’」』）)\n])|(?<=[。！？!?…][”’」』）)])")
_COMMAS = re.compile(r"(?<=[，,、：:])")
_SAYABLE = re.compile(r"[\u3400-\u9fffA-Za-z0-9]")

_DIGITS = dict(zip("0123456789", "零幺二三四五六七八九", strict=True))
_LETTERS = dict(
    zip(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "诶 比 西 弟 衣 艾弗 吉 艾尺 爱 杰 开 艾勒 艾姆 恩 欧 屁 丘 阿尔 艾丝 踢 优 威 达不溜 艾克斯 歪 贼".split(),
        strict=True,
    )
)

# What is counted is read as an amount; every other run of three digits or more is a number to be written down.
_UNITS = (
    "元|块|毛|角|分钱|万|亿|千|百|多|余|来|斤|公斤|千克|克|吨|两|升|毫升|米|公里|里|厘米|毫米|平|亩|岁|个|位|名|人"
    "|户|天|日|月|年|周|小时|分钟|秒|次|度|毫|件|张|只|头|袋|瓶|盒|片|粒|步|字|页|元钱|%|％|℃|kg|mg|ml|cm"
)
_AMOUNT = re.compile(rf"\d+\.\d+|\d{{3,}}(?=\s*(?:{_UNITS}))|(?<=[¥￥])\d+")
_TO_WRITE_DOWN = re.compile(r"(?<![\d.])\+?\d[\d\- ]*\d(?![\d.]*\d)")
_CLOCK = re.compile(r"(?<!\d)([01]?\d|2[0-4])[:：]([0-5]\d)(?!\d)")
_RANGE = re.compile(r"(?<=\d)\s*[-–—~～至]\s*(?=\d)")
_TWO = re.compile(r"(?<![\d.第])2(?=\s*(?:个|位|天|次|只|件|块|家|张|条|种|户|名|样|袋|瓶|盒|片|遍))")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_LATIN = re.compile(r"[A-Za-z]+(?:'[a-z]+)?")
_UNSAYABLE = re.compile(r"[^\u3400-\u9fffA-Za-z0-9，。！？；：、…,.!?;:“”《》（）()\-+%.%℃°/￥¥\s]")
_FULL_WIDTH = {
    code: code - 0xFEE0 for code in [*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B)]
}


def sentences(text: str) -> list[str]:
    """The text in pieces that can be spoken one after another, in order, each at most 60 characters."""
    pieces = [piece.strip() for whole in _ENDS.split(text) for piece in _shortened(whole)]
    return [piece for piece in pieces if _SAYABLE.search(piece)]


def _shortened(sentence: str) -> list[str]:
    if len(sentence) <= _LONGEST:
        return [sentence]
    pieces = [""]
    for clause in _COMMAS.split(sentence):
        if pieces[-1] and len(pieces[-1]) + len(clause) > _LONGEST:
            pieces.append("")
        pieces[-1] += clause
    return [piece[at : at + _LONGEST] for piece in pieces for at in range(0, len(piece), _LONGEST)]


def first_clause(sentence: str) -> list[str]:
    """The sentence parted after its first clause that says something: rendered sooner, where a sound is waited for."""
    head, *rest = _COMMAS.split(sentence)
    while rest and len(head) < _LEAST_CLAUSE:
        head += rest.pop(0)
    return [head, "".join(rest)] if rest else [sentence]


def spoken_digits(digits: str) -> str:
    """Digits one by one as they are read out: 120 → 幺二零, 12356 → 幺二三五六, 3021 → 三、零、二、幺.

    Hotlines are known by their sound and run together; others pause so that they can be written down, long
    ones in groups of three or four. Anything but digits parts the groups.
    """
    groups = [group for run in re.findall(r"\d+", digits) for group in _grouped(run)]
    if len(groups) == 1 and not _is_hotline(groups[0]):
        return "、".join(_DIGITS[digit] for digit in groups[0])
    return "，".join("".join(_DIGITS[digit] for digit in group) for group in groups)


def _is_hotline(run: str) -> bool:
    return len(run) == 3 or (len(run) == 5 and run[0] in "19")


def _grouped(run: str) -> list[str]:
    if len(run) == 11:
        return [run[:3], run[3:7], run[7:]]
    if len(run) <= 6:
        return [run]
    return [run[at : at + 4] for at in range(0, len(run), 4)]


def speakable(text: str) -> str:
    """One sentence as a Mandarin voice should read it; empty when nothing in it can be said."""
    text = _UNSAYABLE.sub(" ", text.translate(_FULL_WIDTH))
    if not _SAYABLE.search(text):
        return ""
    text = _CLOCK.sub(lambda found: _clock(int(found[1]), int(found[2])), text)
    text = _TWO.sub("两", _THOUSANDS.sub("", text))
    text = _numbers(text)
    text = _LATIN.sub(lambda found: _latin(found[0]), text)
    text = re.sub(r"\s+", " ", text).strip()
    return text if _SAYABLE.search(text) else ""


def _clock(hour: int, minute: int) -> str:
    return f"{hour}点整" if not minute else f"{hour}点{'零' if minute < 10 else ''}{minute}分"


def _numbers(text: str) -> str:
    """Amounts as amounts, ranges as 到, the rest digit by digit."""
    amounts = {found.span() for found in _AMOUNT.finditer(text)}

    def read(found: re.Match[str]) -> str:
        run = found[0]
        if len(re.sub(r"\D", "", run)) < 3 or any(
            found.start() <= start < found.end() for start, _ in amounts
        ):
            return _RANGE.sub("到", run)
        if re.fullmatch(r"\d{1,2}\s*-\s*\d{1,2}", run):
            return _RANGE.sub("到", run)
        return spoken_digits(run)

    return re.sub(r"[¥￥](\d+(?:\.\d+)?)", r"\1元", _TO_WRITE_DOWN.sub(read, text))


def _latin(word: str) -> str:
    """Short or all-capital words letter by letter; a foreign word is left out, since the voice has no sound for it."""
    if len(word) <= 5 and (word.isupper() or len(word) <= 2):
        return "".join(_LETTERS[letter] for letter in word.upper())
    return " "
