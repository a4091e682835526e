"""Brings an utterance into the form the danger lexicon is written in, one character for one."""

import re
import unicodedata

SOFT = "，"
STOP = "。"
ASK = "？"
MASK = "□"

_PUNCTUATION = (
    dict.fromkeys(map(ord, ",，、;；:：﹐､"), SOFT)
    | dict.fromkeys(map(ord, ".。!！\n\r\x0b\x0c\x85\u2028\u2029｡"), STOP)
    | dict.fromkeys(map(ord, "?？﹖"), ASK)
)
_HESITATION = "呃嗯"
# A word of hesitation between two pauses splits no clause; after a "no" it may: 没有，呃，我喝了.
# Every repeat is bounded, so that a long row of pauses takes linear time.
_FALTER = re.compile(
    r"(?<![没有不是别])[，,、…—\s]{1,3}(?:(?:呃|嗯|那个|这个|就是|怎么说|哎|唉|啊|额|哦)[，,、…—\s]{1,3}){1,4}"
)


class Alphabet(dict[int, str | None]):
    """A table for `str.translate`: each character becomes one character or none, never more.

    Learns a character when it first meets it; `traditional` maps traditional characters to simplified ones.
    """

    def __init__(self, traditional: dict[str, str]) -> None:
        super().__init__(_PUNCTUATION)
        self.update({ord(old): new for old, new in traditional.items()})
        self.update(dict.fromkeys(map(ord, _HESITATION), None))

    def __missing__(self, code: int) -> str | None:
        folded = unicodedata.normalize("NFKC", chr(code)).casefold()
        if len(folded) != 1:
            folded = chr(code)
        if ord(folded) != code and ord(folded) in self:
            self[code] = self[ord(folded)]
        else:
            self[code] = folded if unicodedata.category(folded)[0] in "LN" else None
        return self[code]

    def plain(self, text: str) -> str:
        """The text without blanks, signs and hesitations, with three kinds of boundary left in it."""
        return _smooth(text).translate(self)

    def places(self, text: str) -> list[int]:
        """For each character of `plain(text)`, where it stands in `text`."""
        return [place for place, char in enumerate(_smooth(text)) if self[ord(char)] is not None]


def _smooth(text: str) -> str:
    """The text with faltering pauses blanked, one blank for one character."""
    return _FALTER.sub(lambda match: " " * len(match.group()), text)
