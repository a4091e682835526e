"""What an utterance means here: the classifier's opinion, read in the light of what was just asked."""

import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass, field

from strict.state import LONGEST_SLOT, State

SKIPPED = "没有说"

# The figures are from the measurements in bot/README.md.
SURE_ENOUGH = 0.25
SURE_OF_DANGER = 0.40
SURE_OF_CHANGE = 0.60
SURE_OF_TALK = 0.45
LOOKS_LIKE_AN_ANSWER = 0.12
NEARLY_CERTAIN = 0.95
GOES_ON = 0.5

DANGERS = frozenset({"emergency", "crisis", "abuse", "fraud"})
# The needs that are asked about before a person hears of them; all others are a person's at once.
ASKED = frozenset(
    "health benefits goods medicine insurance care farm home legal papers digital transport complaint".split()
)
ASIDES = frozenset({"talk_repeat", "talk_slower", "talk_louder", "talk_stop", "talk_identity"})
LEAVING = frozenset({"talk_cancel", "talk_bye"})
KEEPS_OFFER = ASIDES | {"unclear"}
# What an answer to a question is easily taken for.
KIN = {
    "health_what": frozenset({"medicine", "care"}),
    "health_since": frozenset({"medicine"}),
    "health_near": frozenset({"emotion", "family", "care"}),
    "benefits_what": frozenset({"papers", "insurance"}),
    "benefits_who": frozenset({"family", "care"}),
    "benefits_before": frozenset({"status", "papers"}),
    "goods_where": frozenset({"transport"}),
    "matter_what": frozenset({"health", "medicine", "goods", "family", "care"}),
    "matter_more": frozenset({"health", "family", "care", "medicine"}),
}

_ASKS_FOR_A_PERSON = re.compile(
    r"(我|快|请|请你|麻烦|帮我|给我|我要|我想|我就要|还是|就|能不能|可以)*"
    r"(找|转|接|换|叫|喊|要)?(个|一个|下)?"
    r"(人工|真人|活人|找人|转人|社工|志愿者|村医|工作人员|人工客服|人来|人说话|人跟我说)"
    r"(说话|说|讲|谈|接|帮我|来|服务|听|跟我说|吧|啊|呀|嘛|呢|了|好不好|行不行|可以吗|行吗)*"
)
_ASKS_FOR_SOMEONE = re.compile(
    r"(我|快|请|帮我|给我|我要|我想)*(找|转|换|叫|喊)(个|一个)?(真)?人(吧|啊|呀|嘛|说话|说|来|帮忙|帮帮忙|帮个忙|帮我|帮帮我)*"
)
_ASKS_WHETHER_ANYONE_LISTENS = re.compile(
    r"(喂|哎|诶|你好|您好|请问)*(有人|有没有人|在|在不在|听得到|听得见|听不听得到)(在)?(听)?(吗|嘛|么|不|没|没得|没有)?"
)
_SKIPS = re.compile(
    r"(我|这个|那个|也|都|可|就|真|真的|实在)*"
    r"(不知道|不晓得|不清楚|不明白|弄不清|搞不清|说不上来|说不好|说不清|讲不清|记不得|记不清|不记得|忘了|忘记|忘记了|忘掉了"
    r"|跳过|下一个|下个|过|不说|不想说|不想讲|不讲|没想好|随便|随你|都行|再说)"
    r"(这个|那个|了|吧|啊|呀|嘛|呢|哦|哎)*"
)


_TAKEN = (
    r"(好|好的|好呀|好啊|好吧|好嘛|好哦|要|要的|要得|要嘛|行|行啊|行吧|中|中啊|可以|可以的|得行|成|嗯|哎|诶|对|对的|对头|是|是的|是啊"
    r"|麻烦你|麻烦您|劳烦你|劳烦您|记|记吧|记下来|记下|记一下|记一笔|登记|登记一下|你记吧|您记吧|那就|给我|帮我)"
)
_YES = re.compile(rf"{_TAKEN}({_TAKEN}|麻烦|劳烦|帮忙|谢谢|谢谢你|谢谢您|多谢|辛苦了|吧|嘛|哦|了)*")
_YES_AND_MORE = re.compile(
    r"(是|是的|对|对头|嗯|恩呐|嗯呐)(就)?(是)?(我|俺|额|咱|给|替|帮|为)(?!.*(不|没|莫|甭|别|算了|再想|吗|么|呢|咋|啥|什么|多少|好多|好久|几|哪|谁))"
)
"""A yes that goes on to say who it is for, and asks nothing."""
_NO = re.compile(
    r"(不|不用|不要|不用了|不要了|不必|不必了|不了|不记|不记了|算了|不得行|不行|不中|没有|没得|莫|甭|别|别记|别记了|谢谢)+"
)


_NEVER_MIND = re.compile(
    r"(那|那就|我|就|哦|嗯|好)*(不用|不用了|不必|不必了|不要了|算了|不问了|不办了|不记了|不用记|不用记了|不麻烦了|不麻烦你了|不麻烦您了)+"
    r"(吧|啊|呀|嘛|哦|谢谢|谢谢你|谢谢您|我晓得了|我知道了)*"
)


@dataclass(frozen=True)
class Reading:
    """One utterance, read.

    act: `need` (a matter of its own), `answer` or `skip` (to the form's question), `unclear` (the first
    miss) or `lost` (the second in a row). intent: what the rules go by. need, confidence, ranking: the
    classifier's own opinion, intents of one need taken together, best first.
    """

    act: str
    intent: str
    need: str
    confidence: float
    ranking: list[tuple[str, float]] = field(default_factory=list)
    leaves_form: bool = False
    answer: str | None = None
    fills_first: bool = False


def need_of(intent: str) -> str:
    """The taxonomy's code for an intent: `talk` for all of its twelve."""
    return "talk" if intent.startswith("talk_") else intent


def bare(text: str) -> str:
    """Letters and digits only, one width."""
    return "".join(ch for ch in unicodedata.normalize("NFKC", text) if ch.isalnum())


def _is_wholly(pattern: re.Pattern[str], said: str) -> bool:
    # What these patterns are for is short; a long text could only make them backtrack.
    return len(said) <= 24 and pattern.fullmatch(said) is not None


def read(text: str, shares: dict[str, float], answer: float, state: State) -> Reading:
    """Reads `text` by the share of each intent, its likeness to a form's answer, and where we stand."""
    if settled := _settled(text, state):
        shares = dict.fromkeys(shares, 0.0) | {settled: 1.0}
    needs: dict[str, float] = defaultdict(float)
    for intent, share in shares.items():
        needs[need_of(intent)] += share
    ranking = sorted(needs.items(), key=lambda pair: -pair[1])
    need, confidence = ranking[0]
    intent = max((i for i in shares if need_of(i) == need), key=shares.__getitem__)
    opinion = (need, confidence, ranking[:5])
    if state.loop:
        return _read_in_form(text, intent, shares[intent], answer, state, opinion)
    return _read_freely(text, intent, answer, state, opinion)


def _settled(text: str, state: State) -> str | None:
    """The intent of what needs no classifier, or that none may miss."""
    if asks_for_a_person(text):
        return "human"
    if not state.loop and _is_wholly(_ASKS_WHETHER_ANYONE_LISTENS, bare(text)):
        return "talk_greet"
    return None


def asks_for_a_person(text: str) -> bool:
    """Whether the whole utterance asks for a human being: this must never be missed."""
    said = bare(text)
    return _is_wholly(_ASKS_FOR_A_PERSON, said) or _is_wholly(_ASKS_FOR_SOMEONE, said)


def _intelligible(text: str) -> bool:
    return any("\u3400" <= ch <= "\u9fff" or ch.isdigit() for ch in text)


def _miss(state: State, opinion: tuple) -> Reading:
    if state.missed:
        return Reading("lost", "unclear", *opinion, leaves_form=True)
    return Reading("unclear", "unclear", *opinion)


def _read_freely(text: str, intent: str, answer: float, state: State, opinion: tuple) -> Reading:
    need, confidence, _ = opinion
    if state.slots.get("offered") and (reply := _reply_to_offer(bare(text))):
        return Reading("need", reply, *opinion)
    if _goes_on(text, need, intent, confidence, answer, state):
        return Reading("need", "talk_affirm", *opinion)
    doubtful = confidence < SURE_ENOUGH or not _intelligible(text)
    if need == "unclear" or (doubtful and need not in DANGERS and need != "talk"):
        return _miss(state, opinion)
    if state.slots.get("offered") and intent in ("talk_cancel", "talk_stop"):
        intent = "talk_deny"
    return Reading("need", intent, *opinion, fills_first=len(bare(text)) >= 6)


def _goes_on(text: str, need: str, intent: str, confidence: float, answer: float, state: State) -> bool:
    """Whether somebody who was offered a call back just tells more of it ("给我妈办，今年八十一"): that is a yes."""
    offered = state.slots.get("offered")
    if offered and need == offered and (confidence < SURE_ENOUGH or _YES_AND_MORE.match(bare(text))):
        return True  # too little to be a new question, and of the same matter
    if not offered or answer < GOES_ON:
        return False
    if need == "talk":
        return intent in ("talk_affirm", "talk_smalltalk")
    return need not in DANGERS | {"human"} and (need == "unclear" or confidence < NEARLY_CERTAIN)


def _reply_to_offer(said: str) -> str | None:
    """Yes or no, where the whole utterance is nothing else: too short for the classifier to be trusted."""
    if _is_wholly(_NO, said):
        return "talk_deny"
    return "talk_affirm" if _is_wholly(_YES, said) else None


def _read_in_form(
    text: str, intent: str, intent_share: float, answer: float, state: State, opinion: tuple
) -> Reading:
    need, confidence, _ = opinion
    said = bare(text)
    if _is_wholly(_SKIPS, said):
        return Reading("skip", intent, *opinion, answer=SKIPPED)
    if _is_wholly(_NEVER_MIND, said):
        return Reading("need", "talk_cancel", *opinion, leaves_form=True)
    if need == "human" and confidence >= SURE_OF_DANGER:
        return Reading("need", intent, *opinion, leaves_form=True)
    if answer < LOOKS_LIKE_AN_ANSWER and intent in ASIDES | LEAVING and intent_share >= SURE_OF_TALK:
        return Reading("need", intent, *opinion, leaves_form=intent in LEAVING)
    if _changes_subject(said, need, confidence, answer, state):
        return Reading("need", intent, *opinion, leaves_form=True, fills_first=len(said) >= 6)
    if answer < LOOKS_LIKE_AN_ANSWER and need == "unclear" and confidence >= SURE_OF_TALK:
        return _miss(state, opinion)
    if not _intelligible(text):
        return _miss(state, opinion)
    return Reading("answer", intent, *opinion, answer=text.strip()[:LONGEST_SLOT])


def _changes_subject(said: str, need: str, confidence: float, answer: float, state: State) -> bool:
    if need in ("talk", "unclear", state.slots.get("need")):
        return False
    if need in KIN.get(state.slots.get("requested_slot", ""), ()):
        return confidence >= NEARLY_CERTAIN and len(said) >= 8 and answer < LOOKS_LIKE_AN_ANSWER
    if answer >= LOOKS_LIKE_AN_ANSWER:
        return confidence >= NEARLY_CERTAIN and len(said) >= 8 and answer < 0.5
    if need in DANGERS:
        return confidence >= SURE_OF_DANGER
    return len(said) >= 5 and confidence >= SURE_OF_CHANGE
