"""The page of unanswered questions, by plain forms."""

import pytest
from cast import FANG, LIN
from county import County, Pages
from strict_double import answer, effect

pytestmark = pytest.mark.asyncio(loop_scope="session")
STORES = ("sqlite",)

ODD = "晒坝边那盏<b>路灯</b>归哪个管电的单位来换灯泡"
TOLD = "路灯归村委会报修。请跟村里管电的人说一声。"


async def _asked(county: County) -> int:
    county.rasa.script["路灯"] = answer(effect("consult", need="home", slots={"what": ODD}), need="home")
    await county.say(await county.begin(), "路灯")
    waiting = await county.domain.questions.waiting(county.id_of(LIN))
    return waiting[-1].id


async def test_a_question_is_answered_for_everyone_by_a_form(county: County, web: Pages) -> None:
    question = await _asked(county)
    async with web.browser(LIN) as lin:
        page = await lin.get("/console/questions")
        assert page.status == 200 and "路灯&lt;/b&gt;" in page.text and "<b>路灯" not in page.text
        form = {"ask": "路灯坏了归哪个换灯泡", "text": "一天吃两片。"}
        refused = await lin.send(f"/console/questions/{question}/answer", **form)
        assert refused.status == 409 and "药的用量" in refused.text
        assert 'value="路灯坏了归哪个换灯泡"' in refused.text and "一天吃两片。" in refused.text
        done = await lin.send(f"/console/questions/{question}/answer", **form | {"text": TOLD})
        assert done.status == 200 and "告诉了 1 位" in done.text and TOLD in done.text
        (written,) = await county.domain.questions.written()
        retired = await lin.send(f"/console/answers/{written.id}/retire")
        assert TOLD not in retired.text


async def test_a_question_of_one_family_is_put_aside(county: County, web: Pages) -> None:
    question = await _asked(county)
    async with web.browser(LIN) as lin:
        page = await lin.send(f"/console/questions/{question}/dismiss")
        assert page.status == 200 and f'data-question="{question}"' not in page.text
        again = await lin.send(f"/console/questions/{question}/dismiss")
        assert again.status == 409 and "已经有人处理" in again.text


async def test_an_address_puts_no_words_on_the_page(county: County, web: Pages) -> None:
    async with web.browser(LIN) as lin:
        assert "请打" not in (await lin.get("/console/questions?told=请打13800000000")).text


async def test_a_volunteer_is_sent_away(county: County, web: Pages) -> None:
    await _asked(county)
    async with web.browser(FANG) as fang:
        page = await fang.get("/console/questions")
        assert page.status == 403 and "路灯" not in page.text
        assert "/console/questions" not in (await fang.get("/console/queue")).text


async def test_a_form_from_elsewhere_is_refused(county: County, web: Pages) -> None:
    question = await _asked(county)
    async with web.browser(LIN) as lin:
        sent = await lin.send(f"/console/questions/{question}/dismiss", csrf="elsewhere")
        assert sent.status == 409
    assert question in [one.id for one in await county.domain.questions.waiting(county.id_of(LIN))]
