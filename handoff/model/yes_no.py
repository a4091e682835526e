"""A yes or a no, as people in villages say it."""

import re

LONGEST = 24
"""Characters; who says more is telling something else."""
_LITTLE = "[我你您嘛吧啊呀哦哈呢了的得就都也么这些话，。！ 、]*"
_YES = re.compile(
    f"{_LITTLE}(愿意|同意|可以|要得|行|中|好|成|对|对头|是|嗯|哎|给(他|她|社工)?看|看嘛|没(得)?事|没关系|不怕|不碍事|随便看){_LITTLE}"
    f"((愿意|同意|可以|要得|行|中|好|成|对头|是|嗯|(给(他|她|社工|他们))?看){_LITTLE})*"
)
_NO = re.compile(
    f"{_LITTLE}(不|莫|别|甭|不要|不想|不得|没)(愿意|同意|行|中|可以|好|要|用|想|干|是|给.{{0,3}}看|让.{{0,3}}看)?{_LITTLE}(给.{{0,4}}(看|听|晓得|知道))?{_LITTLE}"
)


def yes_or_no(text: str, intent: str = "") -> bool | None:
    """Whether this is a yes or a no and little else; None where it is neither.

    intent: what the dialogue engine took it for, which also knows a yes and a no in other words.
    """
    said = text.strip()
    if len(said) > LONGEST:
        return None
    if _NO.fullmatch(said) or intent == "talk_deny":
        return False
    return True if _YES.fullmatch(said) or intent == "talk_affirm" else None
