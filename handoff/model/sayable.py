"""What may be said to a person: the checkable part of the rules of care, for every sentence from whatever source."""

import re

LONGEST = 40  # characters of a sentence; an old person has lost the beginning of a longer one

_DIAGNOSES = re.compile(r"您(得|患)的是|您这(是|个是).{0,4}(病|炎|症)|应该(就)?是.{0,6}(病|炎|症|癌)")
_DOSE = re.compile(r"[一二三四五六七八九十半两几\d]+(片(?!叶)|粒|毫克|毫升|支|颗|丸)")
_SOOTHES = re.compile(r"(?<![好不])放心|没事|不要紧的病|不用去医院|不用看医生|不碍事|小毛病")
_PROMISES = re.compile(
    r"(?<!不)(?<!不敢)保证(?!金)|(?<!不)一定能|肯定能|包您|准能|(?<!不)能领到|能报销\d|(?<!不)给您钱|马上就能好"
)
_TALKS_OUT = re.compile(r"(不用|先别|不必|别|不要)(打|叫)(一二零|120|救护车)")
_VOMIT = re.compile(r"(?<!不要)(?<!不能)(?<!别)(?<!不)催吐")

_RULES = (
    (_DIAGNOSES, "像在下诊断"),
    (_DOSE, "说到了药的用量"),
    (_SOOTHES, "像在说不要紧"),
    (_PROMISES, "像在打包票"),
    (_TALKS_OUT, "像在劝人别叫救护车"),
    (_VOMIT, "叫人催吐"),
)


def sentences(text: str) -> list[str]:
    """The sentences of a text, each with its closing mark."""
    return [found.strip() for found in re.findall(r"[^。？！]+[。？！]?", text) if found.strip()]


def fault(text: str) -> str | None:
    """Why this may not be said, in Chinese for whoever wrote it; None where nothing speaks against it."""
    if not text.strip():
        return "没有写话"
    if long := next((one for one in sentences(text) if len(one) > LONGEST), None):
        return f"一句超过 {LONGEST} 个字（{long[:8]}……）"
    if text.count("？") + text.count("?") > 1:
        return "一次只能问一个问题"
    if re.search(r"[A-Za-z]", text):
        return "有念不出来的字母"
    if "你" in text:
        return "要称“您”"
    return next((why for pattern, why in _RULES if pattern.search(text)), None)
