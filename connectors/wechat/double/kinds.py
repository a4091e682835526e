"""Every kind of message and event with the fields that the platform gives it."""

from typing import Any

from connectors.wechat.double.media import Media

MESSAGES: dict[str, dict[str, Any]] = {
    "text": {"Content": "你好"},
    "image": {"PicUrl": "http://mmbiz.qpic.cn/mmbiz_jpg/example/0"},
    "voice": {"Format": "amr"},
    "video": {"ThumbMediaId": "thumb"},
    "shortvideo": {"ThumbMediaId": "thumb"},
    "location": {
        "Location_X": "30.134521", "Location_Y": "104.358440", "Scale": "15", "Label": "青石村口",
    },
    "link": {"Title": "免费领鸡蛋", "Description": "名额有限", "Url": "http://example.com/eggs"},
    "file": {
        "Title": "体检报告.pdf", "Description": "1.2M", "FileKey": "key", "FileMd5": "0" * 32, "FileTotalLen": "1258291",
    },
}  # fmt: skip

_LIST = {"TemplateId": "template", "SubscribeStatusString": "accept", "PopupScene": "2"}
EVENTS: dict[str, dict[str, Any]] = {
    "subscribe": {"EventKey": ""},
    "unsubscribe": {"EventKey": ""},
    "SCAN": {"EventKey": "scene", "Ticket": "ticket"},
    "CLICK": {"EventKey": "key"},
    "VIEW": {"EventKey": "http://example.com/page", "MenuId": "400000001"},
    "LOCATION": {"Latitude": "30.134521", "Longitude": "104.358440", "Precision": "65.0"},
    "scancode_waitmsg": {"EventKey": "key", "ScanCodeInfo": {"ScanType": "qrcode", "ScanResult": "1"}},
    "TEMPLATESENDJOBFINISH": {"MsgID": "200163836", "Status": "success"},
    "subscribe_msg_popup_event": {"SubscribeMsgPopupEvent": {"List": _LIST}},
    "subscribe_msg_change_event": {
        "SubscribeMsgChangeEvent": {"List": {"TemplateId": "template", "SubscribeStatusString": "reject"}}
    },
    "subscribe_msg_sent_event": {
        "SubscribeMsgSentEvent": {
            "List": {"TemplateId": "template", "MsgID": "1", "ErrorCode": "0", "ErrorStatus": "success"}
        }
    },
    "user_authorize_invalid": {"OpenID": "openid", "AppID": "appid", "RevokeInfo": "1"},
}

_BRINGS = {"image": "image", "voice": "voice", "video": "video", "shortvideo": "video"}
"""The kind of media that comes with a message."""


def message_of(kind: str, given: dict[str, Any], media: Media) -> dict[str, Any]:
    """The fields of a message of this kind: what is given, and else what there usually is."""
    fields = {**MESSAGES.get(kind, {}), **given}
    if kind in _BRINGS and "MediaId" not in fields:
        fields["MediaId"] = media.put(_BRINGS[kind], b"\xff\xd8\xff" if kind == "image" else b"#!AMR\n")
    return fields


def event_of(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """The fields of an event, likewise."""
    return {**EVENTS.get(name, {}), **given}
