"""The danger screen: no one's danger gets lost, everyday words stay everyday, and no text can break it."""

import random
from pathlib import Path

import pytest
import yaml

from handoff.model.danger import DangerScreen, Finding
from handoff.model.errors import HandoffError
from handoff.model.words import DangerKind, Risk

HERE = Path(__file__).parent
LEXICON = HERE.parents[1] / "nlu_data" / "danger"


@pytest.fixture(scope="module")
def screen() -> DangerScreen:
    return DangerScreen.load(LEXICON)


def _lines(name: str) -> list[tuple[str, tuple[str, ...], str]]:
    groups = yaml.safe_load((HERE / name).read_text(encoding="utf-8"))
    rows = [row for group in groups.values() for row in group]
    return [(spec.split()[0], tuple(spec.split()[1:]), text) for spec, text in rows]


SENTENCES = _lines("sentences.yaml") + _lines("fresh.yaml")


SECOND_AUTHOR = _lines("second.yaml") + _lines("third.yaml")


def _kinds(finding: Finding) -> set[str]:
    return {kind.value for kind in finding.kinds}


@pytest.mark.parametrize(("risk", "kinds", "text"), [line for line in SENTENCES if line[0] != "routine"])
def test_danger_is_found_at_its_level(
    screen: DangerScreen, risk: str, kinds: tuple[str, ...], text: str
) -> None:
    found = screen.screen(text)
    if risk == "attention":
        assert found.risk is Risk.ATTENTION
    assert found.risk.at_least(Risk(risk))
    assert set(kinds) <= _kinds(found)


@pytest.mark.parametrize("text", [text for risk, _, text in SENTENCES if risk == "routine"])
def test_everyday_words_raise_nothing(screen: DangerScreen, text: str) -> None:
    found = screen.screen(text)
    assert (found.risk, found.kinds, found.why) == (Risk.ROUTINE, (), ())


def test_another_authors_plain_danger_is_found_and_everyday_lines_stay_calm(screen: DangerScreen) -> None:
    urgent = [(Risk(risk), screen.screen(text).risk.at_least(Risk.URGENT)) for risk, _, text in SECOND_AUTHOR]
    danger = [raised for risk, raised in urgent if risk.at_least(Risk.URGENT)]
    calm = [raised for risk, raised in urgent if not risk.at_least(Risk.URGENT)]
    assert sum(danger) / len(danger) >= 0.95
    assert sum(calm) / len(calm) <= 0.03


@pytest.mark.parametrize("text", ["我喝了，呃，农药", "我喝了，那个，嗯，农药", "我，就是，不想活了"])
def test_a_word_of_hesitation_between_pauses_hides_nothing(screen: DangerScreen, text: str) -> None:
    found = screen.screen(text)
    assert found.risk.at_least(Risk.URGENT)
    assert all(span in text for span in found.why)


@pytest.mark.parametrize(
    ("parts", "kind"),
    [
        (["存折密码写在纸上了。", "我走了以后你自己去取。"], DangerKind.SUICIDE),
        (["昨晚砸了电视。", "我不敢回屋。"], DangerKind.VIOLENCE),
    ],
)
def test_hints_count_only_in_company(screen: DangerScreen, parts: list[str], kind: DangerKind) -> None:
    together = screen.screen("".join(parts))
    assert together.risk.at_least(Risk.URGENT)
    assert kind in together.kinds
    assert all(screen.screen(part).risk is Risk.ROUTINE for part in parts)
    assert screen.screen(("，今天天气好得很" * 40).join(parts)).risk is Risk.ROUTINE


@pytest.mark.parametrize("kind", list(DangerKind))
def test_every_kind_is_covered_by_at_least_eight_sentences(kind: DangerKind) -> None:
    assert sum(kind.value in kinds for _, kinds, _ in SENTENCES) >= 8


@pytest.mark.parametrize(
    ("danger", "calm"),
    [
        ("我喝了农药", "我没喝农药"),
        ("我不想活了", "我没有不想活"),
        ("我想死", "我没有想死"),
        ("我胸口痛", "我胸口不痛"),
        ("老伴晕倒了", "老伴没晕倒"),
        ("屋里着火了", "屋里没着火"),
        ("儿子打我", "儿子从来没打我"),
        ("我摔倒了", "我没摔倒"),
        ("老头子嘴歪了", "老头子嘴没歪"),
        ("我被骗了", "我没有被骗"),
        ("煤气漏了", "煤气没漏"),
        ("他喝农药死了", "电视里那个人喝农药死了"),
        ("娃儿昏倒了", "猪昏倒了"),
        ("我把农药喝了", "我把农药打了"),
        ("我心口子痛", "我心疼那个碗"),
        ("我想跳河", "村里想在河上修桥"),
        ("孩子不见了", "手机不见了"),
        ("老伴走丢了", "老牛走丢了"),
        ("后山垮下来了", "前年后山垮下来过"),
        ("他拿着刀要砍我", "他拿着刀切菜"),
    ],
)
def test_contrast_pairs(screen: DangerScreen, danger: str, calm: str) -> None:
    assert screen.screen(danger).risk.at_least(Risk.URGENT)
    assert not screen.screen(calm).risk.at_least(Risk.URGENT)


@pytest.mark.parametrize(
    "text",
    [
        "动不了了，摔在地上",
        "没人管我死活",
        "人没气了",
        "忍不住就想跳河",
        "我不小心喝了农药",
        "差点没憋死，喘不上气",
    ],
)
def test_words_that_look_like_negation_but_are_part_of_the_sign(screen: DangerScreen, text: str) -> None:
    assert screen.screen(text).risk.at_least(Risk.URGENT)


def test_a_wish_with_the_means_at_hand_is_an_emergency(screen: DangerScreen) -> None:
    assert screen.screen("我不想活了").risk is Risk.URGENT
    assert screen.screen("我不想活了。安眠药在床头。").risk is Risk.EMERGENCY


def test_why_holds_exact_spans_in_the_order_of_the_text(screen: DangerScreen) -> None:
    text = "哎，我 不想 活了！！绳子我都拴好了……😭"
    why = screen.screen(text).why
    assert why
    places = [text.index(span) for span in why]
    assert places == sorted(places)


def test_kinds_stand_in_the_order_of_the_taxonomy(screen: DangerScreen) -> None:
    order = list(DangerKind)
    for _, _, text in SENTENCES:
        kinds = screen.screen(text).kinds
        assert list(kinds) == sorted(kinds, key=order.index)


@pytest.mark.parametrize(
    "text", ["我喝了農藥", "我 喝 了 农 药", "我喝了\u200b农药", "我喝了呃……农药", "我喝了１６０５"]
)
def test_the_same_words_written_otherwise(screen: DangerScreen, text: str) -> None:
    found = screen.screen(text)
    assert found.risk is Risk.EMERGENCY
    assert DangerKind.POISONING in found.kinds


def test_in_doubt_up(screen: DangerScreen) -> None:
    sure = screen.screen("农药放哪里好", confidence=0.9)
    unsure = screen.screen("农药放哪里好", confidence=0.4)
    assert (sure.risk, sure.doubt) == (Risk.ROUTINE, True)
    assert unsure.risk is Risk.URGENT
    assert unsure.kinds == (DangerKind.ASR_DOUBT,)
    assert screen.screen("今天天气好", confidence=0.1).risk is Risk.ROUTINE
    assert screen.screen("农药放哪里好", confidence=float("nan")).risk is Risk.URGENT


def test_low_confidence_never_lowers(screen: DangerScreen) -> None:
    for _, _, text in SENTENCES:
        low, high = screen.screen(text, confidence=0.2), screen.screen(text)
        assert low.risk.at_least(high.risk)
        assert set(high.kinds) <= set(low.kinds)


ODD = [
    "",
    " ",
    "\x00",
    "\ud800",
    "\udfff不想活",
    "😭" * 50,
    "a" * 300,
    "？？？。。。",
    "\u0301" * 40,
    "ﷺ",
    "İ",
    "㍿",
    "𠮷野家",
]


@pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
def test_odd_text_never_raises(screen: DangerScreen, text: str) -> None:
    assert isinstance(screen.screen(text), Finding)


def test_no_string_at_all_raises_and_the_answer_never_changes(screen: DangerScreen) -> None:
    rng = random.Random(20)  # noqa: S311
    words = [text for _, _, text in SENTENCES]
    for _ in range(400):
        pieces = [rng.choice(words)[rng.randrange(8) :] for _ in range(rng.randrange(4))]
        pieces += [chr(rng.randrange(0x110000)) for _ in range(rng.randrange(30))]
        rng.shuffle(pieces)
        text = "".join(pieces)
        assert screen.screen(text) == screen.screen(text)


@pytest.mark.parametrize(
    "piece",
    [
        "喝",
        "，",
        "，呃",
        "我走了以后，",
        "我不想活",
        "敌敌畏喝了",
        "没",
        "摔，",
        "\ud800",
        "胸口",
        "今天天气好。",
    ],
)
def test_long_text_is_screened_whole(screen: DangerScreen, piece: str) -> None:
    padding = (piece * 100_000)[:100_000]
    assert screen.screen(padding + "。我把绳子拴在房梁上了，不想活了。").risk is Risk.EMERGENCY


def test_a_sign_is_found_wherever_in_a_long_text_it_stands(screen: DangerScreen) -> None:
    for place in range(0, 700, 7):
        text = "今天天气好。" * (place // 6) + "哈" * (place % 6) + "我不想活了" + "，明天去赶集" * 60
        assert DangerKind.SUICIDE in screen.screen(text).kinds
        calm = "今天天气好。" * (place // 6) + "哈" * (place % 6) + "我没有喝农药" + "，明天去赶集" * 60
        assert screen.screen(calm).risk is Risk.ROUTINE


CUES = "cues:\n" + "".join(
    f"  {cue}: |\n    某{cue}词\n"
    for cue in "negation filler unsure if past now told over general animal person self gone".split()
)
SIGN = "signs:\n  - sign: wish\n    kinds: suicide\n    risk: urgent\n    say: |\n      不想活\n"


@pytest.mark.parametrize(
    ("page", "entry"),
    [
        ("- just a list\n", "-"),
        ("signs: [unclosed\n", "-"),
        ("sings: []\n", "sings"),
        (SIGN.replace("urgent", "terrible"), "wish"),
        (SIGN.replace("suicide", "sadness"), "wish"),
        (SIGN.replace("不想活", "<nobody>"), "wish"),
        (SIGN.replace("不想活", "3 5,"), "wish"),
        (SIGN.replace("不想活", "甲||乙"), "wish"),
        (SIGN + "    colour: red\n", "wish"),
        (SIGN + "    role: king\n", "wish"),
        (SIGN + "    still: maybe\n", "wish"),
        ("signs:\n  - kinds: suicide\n", "signs 第 1 条"),
        ("concepts:\n  empty:\n", "empty"),
        ("heard:\n  滴滴位: 农药\n", "heard/滴滴位"),
        ("cues:\n  weather: |\n    雨\n", "cues/weather"),
    ],
)
def test_a_malformed_lexicon_names_file_and_entry(tmp_path: Path, page: str, entry: str) -> None:
    (tmp_path / "cues.yaml").write_text(CUES, encoding="utf-8")
    (tmp_path / "wrong.yaml").write_text(page, encoding="utf-8")
    with pytest.raises(HandoffError) as caught:
        DangerScreen.load(tmp_path)
    assert caught.value.code == "danger_lexicon"
    assert "wrong.yaml" in str(caught.value)
    assert f"“{entry}”" in str(caught.value)


def test_an_empty_or_missing_folder_is_a_plain_error(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(HandoffError) as caught:
            DangerScreen.load(folder)
        assert str(folder) in str(caught.value)


def test_a_lexicon_without_a_class_of_cues_is_refused(tmp_path: Path) -> None:
    (tmp_path / "signs.yaml").write_text(SIGN, encoding="utf-8")
    with pytest.raises(HandoffError, match="cues/negation"):
        DangerScreen.load(tmp_path)
