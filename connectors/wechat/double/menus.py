"""The menu under the chat: its limits, and what is published."""

from typing import Any

from aiohttp import web

from connectors.wechat.double.errors import OK, Answer, Refused, body_of
from connectors.wechat.double.faults import Call
from connectors.wechat.double.rules import Rules

_MOST, _MOST_BELOW = 3, 5
_BELOW_NAME_BYTES, _KEY_BYTES, _URL_BYTES = 60, 128, 1024
_KEYED = {
    "click", "scancode_push", "scancode_waitmsg", "pic_sysphoto", "pic_photo_or_album", "pic_weixin", "location_select",
}  # fmt: skip
_LINKED = {"view", "miniprogram"}
_OTHERS = {"media_id", "view_limited", "article_id", "article_view_limited"}


class Menus:
    """The calls about the menu."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.published: Answer | None = None
        self.calls: dict[str, Call] = {
            "menu/create": self._create,
            "menu/get": self._get,
            "menu/delete": self._delete,
            "get_current_selfmenu_info": self._current,
        }

    async def _create(self, request: web.Request) -> Answer:
        menu = await body_of(request)
        buttons = menu.get("button")
        if not isinstance(buttons, list) or not 1 <= len(buttons) <= _MOST:
            raise Refused(40016)
        self.published = {"button": [self._checked(button) for button in buttons]}
        return OK

    def _checked(self, button: dict[str, Any]) -> dict[str, Any]:
        """A button of the first level as the platform keeps it; raises Refused."""
        if not 1 <= _bytes(button, "name") <= self._rules.menu_name_bytes:
            raise Refused(40018)
        below = button.get("sub_button") or []
        if len(below) > _MOST_BELOW:
            raise Refused(40023)
        if not below:
            _check_action(button, 40017, 40019, 40020, 40055)
            return {**button, "sub_button": []}
        for one in below:
            if not 1 <= _bytes(one, "name") <= _BELOW_NAME_BYTES:
                raise Refused(40025)
            _check_action(one, 40024, 40026, 40027, 40054)
        return {"name": button["name"], "sub_button": [{**one, "sub_button": []} for one in below]}

    async def _get(self, _request: web.Request) -> Answer:
        if self.published is None:
            raise Refused(46003)
        return {"menu": self.published}

    async def _delete(self, _request: web.Request) -> Answer:
        self.published = None
        return OK

    async def _current(self, _request: web.Request) -> Answer:
        """In the form of its own that this call has: sub-buttons under `list`."""
        if self.published is None:
            return {"is_menu_open": 0}
        buttons = [
            {"name": one["name"], "sub_button": {"list": [_bare(sub) for sub in one["sub_button"]]}}
            if one["sub_button"] else _bare(one)
            for one in self.published["button"]
        ]  # fmt: skip
        return {"is_menu_open": 1, "selfmenu_info": {"button": buttons}}


def _check_action(button: dict[str, Any], kind: int, key: int, url: int, domain: int) -> None:
    """Type, key and address of a button; raises Refused with these errcodes."""
    does = button.get("type")
    if does not in _KEYED | _LINKED | _OTHERS:
        raise Refused(kind)
    if does in _KEYED and not 1 <= _bytes(button, "key") <= _KEY_BYTES:
        raise Refused(key)
    if does in _LINKED:
        if not 1 <= _bytes(button, "url") <= _URL_BYTES:
            raise Refused(url)
        if not str(button["url"]).startswith(("http://", "https://")):
            raise Refused(domain)


def _bytes(button: dict[str, Any], name: str) -> int:
    return len(str(button.get(name) or "").encode())


def _bare(button: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in button.items() if name != "sub_button"}
