"""Thanks alone raise nothing; what is said beside them is heard."""

import pytest

from handoff.model.courtesy import only_thanks


@pytest.mark.parametrize(
    "text", ["谢谢你了", "好，谢谢您啊！", "多谢多谢", "麻烦你们了", "辛苦了", "那就谢谢你啦"]
)
def test_thanks_alone_are_no_farewell(text: str) -> None:
    assert only_thanks(text)


@pytest.mark.parametrize("text", ["谢谢你这些年照顾我", "谢谢大家，来世再见", "谢谢你了，我走了", ""])
def test_what_is_said_beside_the_thanks_is_heard(text: str) -> None:
    assert not only_thanks(text)
