"""What the bot says and wants done, turn by turn, with the real model."""

import json
from typing import Any

import pytest

from .conftest import Rasa, effects, texts

pytestmark = pytest.mark.slow

OPENS = {
    "emergency": "我胸口疼得厉害，喘不上气来",
    "crisis": "我真的不想活了，活着没意思",
    "abuse": "我儿子又动手打我了",
    "fraud": "有个人打电话叫我把钱转给他，说是公安局的",
    "emotion": "老伴走了以后，我心里空落落的，难受",
    "family": "我跟儿媳妇吵架了，她不让我见孙子",
}
MATTERS = {
    "care": "我腿脚不行了，想请个人上门帮我洗澡",
    "legal": "隔壁占了我家的宅基地，该找哪个评理",
    "home": "我家房顶漏雨了，屋里都是水",
    "complaint": "你们那个办事员态度太差了，我要投诉",
    "medicine": "降压药忘记吃了，要不要补上",
    "insurance": "住院的钱医保能报销多少",
    "farm": "苞谷叶子上长虫了，打什么药好",
    "papers": "身份证到期了去哪里换",
    "digital": "手机上微信打不开了",
    "transport": "去县城的班车几点走",
}
ASKS = {
    "health": "我膝盖疼了，想去看看医生",
    "benefits": "想问问高龄补贴怎么领",
    "goods": "我要买点大米，还要买油",
}


@pytest.mark.parametrize("need", OPENS)
def test_a_need_that_a_person_must_hear_of_is_answered_and_opened(rasa: Rasa, need: str) -> None:
    answer = rasa.turn(OPENS[need])
    assert answer["need"] == need
    assert texts(answer)
    assert effects(answer) == [{"name": "open_case", "need": need}]


@pytest.mark.parametrize(
    ("need", "numbers"),
    [
        ("emergency", ["一二零"]),
        ("crisis", ["一二三五六"]),
        ("abuse", ["一一零"]),
        ("fraud", ["九六一一零"]),
    ],
)
def test_danger_is_given_the_number_to_call(rasa: Rasa, need: str, numbers: list[str]) -> None:
    said = texts(rasa.turn(OPENS[need]))
    assert all(number in said for number in numbers)


@pytest.mark.parametrize("need", [*MATTERS, *ASKS])
def test_a_known_answer_is_asked_for_at_once_and_its_offer_is_remembered(rasa: Rasa, need: str) -> None:
    answered = rasa.turn({**MATTERS, **ASKS}[need], answers={need: "offer"})
    assert answered["need"] == need
    assert effects(answered) == [{"name": "answer", "need": need}]
    assert texts(answered).count("？") == 1
    assert effects(rasa.turn("要得", answered["state"])) == [{"name": "open_case", "need": need}]


def test_a_known_answer_that_needs_nobody_makes_no_offer(rasa: Rasa) -> None:
    answered = rasa.turn(MATTERS["papers"], answers={"papers": "none"})
    assert [*answered["messages"]] == [{"effect": {"name": "answer", "need": "papers"}}]
    assert not effects(rasa.turn("要得", answered["state"]))


def test_a_matter_that_somebody_must_act_on_is_asked_about_first(rasa: Rasa) -> None:
    asked = rasa.turn(MATTERS["home"], answers={"home": "open"})
    assert asked["state"]["loop"] == "matter_form" and not effects(asked)


@pytest.mark.parametrize("need", ["fraud", "emotion", "family"])
def test_a_known_answer_does_not_keep_a_person_from_hearing_of_it(rasa: Rasa, need: str) -> None:
    wanted = [{"name": "answer", "need": need}, {"name": "open_case", "need": need}]
    assert effects(rasa.turn(OPENS[need], answers={need: "open"})) == wanted


def test_an_answer_to_another_need_changes_nothing(rasa: Rasa) -> None:
    answer = rasa.turn(MATTERS["papers"], answers={"farm": "none", "talk": "offer"})
    assert answer["state"]["loop"] == "matter_form"


@pytest.mark.parametrize("answers", ["papers", {"papers": 7}, {"papers": "always"}, [], None])
def test_a_malformed_list_of_answers_is_none(rasa: Rasa, answers: object) -> None:
    answer = rasa.turn(MATTERS["papers"], answers=answers)
    assert answer["state"]["loop"] == "matter_form"


def test_who_goes_on_telling_after_an_offer_has_taken_it(rasa: Rasa) -> None:
    offered = rasa.turn("高龄补贴怎么申请", answers={"benefits": "offer"})
    assert effects(rasa.turn("给我妈办，今年八十一", offered["state"])) == [
        {"name": "open_case", "need": "benefits"}
    ]


@pytest.mark.parametrize(
    "said",
    [
        "好，麻烦记一下",
        "要得嘛",
        "行，那就麻烦您登记一下",
        "好好好",
        "可以可以，谢谢你",
        "是给我妈办，她今年七十九了",
    ],
)
def test_a_yes_however_polite_is_one(rasa: Rasa, said: str) -> None:
    offered = rasa.turn("高龄补贴怎么申请", answers={"benefits": "offer"})
    assert effects(rasa.turn(said, offered["state"])) == [{"name": "open_case", "need": "benefits"}]


@pytest.mark.parametrize(
    "said",
    [
        "谢谢",
        "先不办了",
        "我自己去问，不麻烦你记",
        "改天再说吧",
        "再见",
        "别说了",
        "是给我妈问的，一个月给多少钱",
        "嗯，我不办了",
        "对我没用",
    ],
)
def test_who_turns_an_offer_down_in_other_words_has_not_taken_it(rasa: Rasa, said: str) -> None:
    offered = rasa.turn("高龄补贴怎么申请", answers={"benefits": "offer"})
    assert not any(effect["name"] == "open_case" for effect in effects(rasa.turn(said, offered["state"])))


def test_an_offer_can_be_refused_and_is_then_forgotten(rasa: Rasa) -> None:
    offered = rasa.turn(MATTERS["papers"], answers={"papers": "offer"})
    refused = rasa.turn("不用了", offered["state"])
    assert not effects(refused)
    assert not effects(rasa.turn("好的", refused["state"]))


def test_an_offer_stands_while_it_is_repeated(rasa: Rasa) -> None:
    answer = rasa.turn(MATTERS["farm"], answers={"farm": "offer"})
    for said in ("再说一遍", "说慢一点", "好"):
        answer = rasa.turn(said, answer["state"])
    assert effects(answer) == [{"name": "open_case", "need": "farm"}]


@pytest.mark.parametrize("need", [*ASKS, *MATTERS])
def test_a_form_asks_and_then_passes_on_what_it_heard(rasa: Rasa, need: str) -> None:
    said = {**ASKS, **MATTERS}[need]
    form = f"{need}_form" if need in ASKS else "matter_form"
    told = ["三四天了", "就我一个人"][: 2 if need in ASKS else 1]
    answers = rasa.talk(said, *told)
    assert answers[0]["need"] == need
    assert answers[0]["state"]["loop"] == form
    assert all(texts(answer).count("？") == 1 for answer in answers[:-1])
    (done,) = effects(answers[-1])
    assert (done["name"], done["need"]) == ("consult", need)
    assert list(done["slots"].values()) == [said, *told]
    assert answers[-1]["state"]["loop"] is None
    assert answers[-1]["state"]["slots"] == {}


def test_every_need_is_asked_about_in_its_own_words(rasa: Rasa) -> None:
    asked = {need: texts(rasa.turn(text)).split("。")[-1] for need, text in MATTERS.items()}
    assert len(set(asked.values())) == len(MATTERS)


def test_every_question_can_be_skipped(rasa: Rasa) -> None:
    answers = rasa.talk("我要买东西", "不知道", "跳过", "不想说")
    (opened,) = effects(answers[-1])
    assert set(opened["slots"].values()) == {"没有说"}


def test_a_long_answer_with_brackets_is_kept_and_read_back_short(rasa: Rasa) -> None:
    answers = rasa.talk(
        ASKS["goods"], "要两袋{goods_what}[x]，" + "盐也要两包，肥皂再来一块，" * 50, "送到村口"
    )
    (opened,) = effects(answers[-1])
    assert len(opened["slots"]["amount"]) <= 200
    assert "{" not in json.dumps(answers[-1]["messages"][:-1], ensure_ascii=False)[2:-2].replace(
        '{"text"', ""
    )


@pytest.mark.parametrize("need", [*OPENS, *MATTERS])
def test_a_change_of_subject_leaves_the_form(rasa: Rasa, need: str) -> None:
    other = "goods" if need != "goods" else "health"
    text = {**OPENS, **MATTERS}[need]
    _, changed = rasa.talk(ASKS[other], text)
    assert changed["need"] == need
    assert changed["state"]["loop"] == (None if need in OPENS else "matter_form")
    if need in OPENS:
        assert effects(changed) == [{"name": "open_case", "need": need}]


def test_a_change_of_subject_can_start_another_form(rasa: Rasa) -> None:
    _, changed = rasa.talk(ASKS["goods"], ASKS["benefits"])
    assert changed["state"]["loop"] == "benefits_form"
    assert set(changed["state"]["slots"]) == {"benefits_what", "requested_slot", "need"}


@pytest.mark.parametrize(
    ("said", "effect"),
    [
        ("再说一遍", {"name": "repeat"}),
        ("你说慢一点", {"name": "pace", "change": "slower"}),
        ("声音大一点，我听不见", {"name": "pace", "change": "louder"}),
    ],
)
def test_hearing_it_again_keeps_the_place_in_the_form(rasa: Rasa, said: str, effect: dict[str, str]) -> None:
    asked, again, answered = rasa.talk(ASKS["goods"], said, "两袋")
    assert effects(again) == [effect]
    assert again["state"] == asked["state"]
    assert answered["state"]["slots"]["goods_amount"] == "两袋"


@pytest.mark.parametrize("said", ["不用了", "算了", "那就不用了，谢谢", "不麻烦你了", "不问了"])
def test_never_mind_in_reply_to_a_question_ends_it(rasa: Rasa, said: str) -> None:
    _, dropped = rasa.talk(MATTERS["medicine"], said)
    assert dropped["intent"] == "talk_cancel"
    assert dropped["state"]["loop"] is None and not effects(dropped)


def test_cancelling_inside_a_form_leaves_it_without_taking_back_an_older_matter(rasa: Rasa) -> None:
    _, dropped, withdrawn = rasa.talk(ASKS["goods"], "算了不要了", "刚才那个不要了，撤回")
    assert dropped["state"]["loop"] is None
    assert not effects(dropped)
    assert effects(withdrawn) == [{"name": "withdraw"}]


@pytest.mark.parametrize(
    "said",
    [
        "找人",
        "我要找人",
        "转人工",
        "给我找个真人",
        "我想找社工",
        "快叫个人来",
        "我要跟真人说话",
        "能不能找个人跟我说",
    ],
)
@pytest.mark.parametrize("before", [[], [ASKS["health"]], [MATTERS["farm"]], ["asdf qwer"]])
def test_asking_for_a_person_always_works(rasa: Rasa, said: str, before: list[str]) -> None:
    answer = rasa.talk(*before, said)[-1]
    assert answer["need"] == "human"
    assert effects(answer) == [{"name": "hand_over", "reason": "asked"}]
    assert answer["state"]["loop"] is None


@pytest.mark.parametrize("before", [[], [ASKS["goods"]]])
def test_two_misunderstandings_in_a_row_hand_over(rasa: Rasa, before: list[str]) -> None:
    *_, once, twice = rasa.talk(*before, "asdf qwer", "lorem ipsum dolor")
    assert texts(once)
    assert not effects(once)
    assert effects(twice) == [{"name": "hand_over", "reason": "misunderstood"}]
    assert twice["state"]["loop"] is None


def test_being_understood_in_between_starts_the_count_again(rasa: Rasa) -> None:
    answers = rasa.talk("asdf qwer", "你好", "asdf qwer", "你好")
    assert not any(effects(answer) for answer in answers)


@pytest.mark.parametrize(
    ("said", "effect"),
    [
        ("我上次说的那件事办得怎么样了", {"name": "status"}),
        ("再说一遍", {"name": "repeat"}),
        ("别说了，停", {"name": "stop"}),
    ],
)
def test_effects_of_talk(rasa: Rasa, said: str, effect: dict[str, str]) -> None:
    assert effects(rasa.turn(said)) == [effect]


@pytest.mark.parametrize(
    "said", ["喂，有人吗", "你好", "谢谢你", "再见", "嗯", "好的", "不是", "你是哪个", "今天天气真好"]
)
def test_talk_out_of_nowhere_is_answered_naturally(rasa: Rasa, said: str) -> None:
    answer = rasa.turn(said)
    assert answer["need"] == "talk"
    assert texts(answer)
    assert not effects(answer)


def test_the_ranking_is_of_needs_and_adds_up(rasa: Rasa) -> None:
    answer = rasa.turn(ASKS["goods"])
    assert answer["ranking"][0] == [answer["need"], answer["confidence"]]
    assert len(answer["ranking"]) == 5
    assert sum(share for _, share in answer["ranking"]) <= 1.001


def test_the_state_stays_small_and_without_past_words(rasa: Rasa) -> None:
    said = [*OPENS.values(), *MATTERS.values(), *ASKS.values(), "三天了", "你好", "谢谢", "我儿子在家"] * 2
    state = None
    for text in said:
        answer = rasa.turn(text, state)
        state = answer["state"]
        kept = json.dumps(state, ensure_ascii=False)
        assert len(kept.encode()) < 1500
        assert not any(other in kept for other in OPENS.values())


def _asked(answer: dict[str, Any]) -> str | None:
    return (answer["state"]["slots"] or {}).get("requested_slot")


def test_what_is_told_at_once_is_not_asked_any_more(rasa: Rasa) -> None:
    last = rasa.talk("我膝盖疼了三个月了，屋头就我一个人")[-1]
    (done,) = [one["effect"] for one in last["messages"] if "effect" in one]
    assert done["name"] == "consult" and done["need"] == "health"
    assert "三个月" in done["slots"]["since"] and "一个人" in done["slots"]["near"]


def test_an_answer_to_another_question_is_taken_and_the_one_that_stands_is_asked_again(rasa: Rasa) -> None:
    first = rasa.turn("身上不舒服")
    assert _asked(first) == "health_what"
    second = rasa.turn("有三天了", first["state"])
    assert _asked(second) == "health_what" and "三天" in second["state"]["slots"]["health_since"]
    third = rasa.turn("膝盖，走路就疼，老伴在旁边", second["state"])
    (done,) = [one["effect"] for one in third["messages"] if "effect" in one]
    assert (
        "膝盖" in done["slots"]["what"]
        and "三天" in done["slots"]["since"]
        and "老伴" in done["slots"]["near"]
    )


def test_what_another_need_would_ask_fills_nothing(rasa: Rasa) -> None:
    first = rasa.turn("村部的路灯一个多月不亮了，晚上黑得看不见路")
    assert first["need"] == "home"
    assert set(first["state"]["slots"]) <= {"need", "requested_slot", "matter_what", "matter_more"}
