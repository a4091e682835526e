"""What the platform's error codes mean for us: each has one named outcome."""

from dataclasses import dataclass

TOKEN = "token"  # noqa: S105  # a name, not a secret
MEDIA_GONE = "media_gone"


@dataclass(frozen=True)
class Failed:
    """code: stable, shown to workers and operators; again: whether a later try can help; mend: for the operator."""

    code: str
    again: bool
    mend: str = ""


_TOKEN = Failed(TOKEN, True)
_WINDOW = Failed("window_closed", False)
_REFUSED = Failed("refused", False)
_GONE = Failed("not_following", False)
NO_ANSWER = Failed("no_answer", True, "平台没有回应，请检查网络。")

OUTCOMES: dict[int, Failed] = {
    -1: Failed("busy", True),
    40001: _TOKEN, 40014: _TOKEN, 42001: _TOKEN, 41001: _TOKEN,
    40013: Failed("bad_app_id", False, "AppID 不对，请核对 XIANGYIN_WECHAT_APP_ID。"),
    40125: Failed("bad_secret", False, "AppSecret 不对或已重置，请核对 XIANGYIN_WECHAT_SECRET。"),
    40164: Failed("not_listed", False, "服务器的出口地址不在 IP 白名单里：公众平台 → 设置与开发 → 基本配置 → IP白名单。"),
    45009: Failed("too_many", True, "今天的调用次数用完了：公众平台 → 设置与开发 → 接口权限里看用量。"),
    45011: Failed("too_many", True, "调用太频繁，稍后会再试。"),
    45015: _WINDOW,
    45047: Failed("quota_used", False),
    48001: Failed("not_allowed", False, "公众号没有这个接口的权限：只有已认证的服务号才能主动发消息。"),
    48002: _REFUSED, 48004: Failed("not_allowed", False, "接口被封禁，请到公众平台看站内信。"),
    43004: _GONE, 40003: _GONE, 46004: _GONE,
    40007: Failed(MEDIA_GONE, True),
    40037: Failed("bad_template", False, "模板号不对，请核对 XIANGYIN_WECHAT_SUBSCRIPTION。"),
    47003: Failed("bad_template", False, "模板的关键词对不上，请核对 XIANGYIN_WECHAT_SUBSCRIPTION_KEYS。"),
    43101: Failed("not_agreed", False),
    45007: _REFUSED, 47001: _REFUSED, 45001: _REFUSED, 45002: _REFUSED, 44004: _REFUSED, 40008: _REFUSED, 50002: _REFUSED,
}  # fmt: skip


def outcome_of(errcode: int | None) -> Failed:
    """The outcome of an errcode; None stands for no usable answer. A code that nobody knows is tried again."""
    if errcode is None:
        return NO_ANSWER
    return OUTCOMES.get(errcode, Failed(f"wechat_{errcode}", True))
