"""What the voice renders before anybody asks: first what answers begin with, and nothing of anybody."""

from connectors.fixed_words import responses, said_ahead
from voice.speech_text import first_clause, sentences


def test_what_answers_begin_with_comes_first_and_places_are_left_out() -> None:
    begin, later = said_ahead(
        [
            "好，我记下了。您说的是“{quote}”。还要什么？",
            "社工请我提醒您：{words}。听清了就按一。",
            "是{worker}在办。",
            "还要什么？不急的。",
            "120",
        ]
    )
    assert begin == ["好，我记下了。", "社工请我提醒您：", "还要什么？"]
    assert later == ["听清了就按一。", "不急的。"]


def test_every_answer_of_the_dialogue_begins_with_words_that_can_be_rendered_ahead() -> None:
    texts = list(responses())
    begin, _ = said_ahead(texts)
    for text in texts:
        first = sentences(text)[0]
        assert {first, first_clause(first)[0]} & {*begin}, text
