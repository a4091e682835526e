"""Words that are nothing but courtesy."""

import re

_LONGEST = 24
_THANKS = re.compile(
    r"(好|好的|嗯|哎|哦|行|要得|那|真是|太|可|就|都)*"
    r"((多|太)?谢(谢)?(你|您|你们|您们|恁|咧|承)?(了|啊|呀|啦|哈|咯|咧|嘛)*|麻烦(你|您|你们)?(了|咯|咧|啦)+|辛苦(你|您|你们)?(了|咯|咧|啦)+)+"
)


def only_thanks(text: str) -> bool:
    """Whether nothing is said but thanks: kind words alone are no farewell."""
    said = "".join(char for char in text if char.isalnum())
    return len(said) <= _LONGEST and _THANKS.fullmatch(said) is not None
