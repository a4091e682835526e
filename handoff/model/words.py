"""The closed vocabularies of the field: needs, risks, danger kinds, stages (shared taxonomy)."""

from enum import StrEnum


class Need(StrEnum):
    """What an utterance asks for: exactly one, the main one."""

    EMERGENCY = "emergency"
    CRISIS = "crisis"
    ABUSE = "abuse"
    FRAUD = "fraud"
    HEALTH = "health"
    MEDICINE = "medicine"
    EMOTION = "emotion"
    FAMILY = "family"
    BENEFITS = "benefits"
    INSURANCE = "insurance"
    CARE = "care"
    GOODS = "goods"
    FARM = "farm"
    HOME = "home"
    LEGAL = "legal"
    PAPERS = "papers"
    DIGITAL = "digital"
    TRANSPORT = "transport"
    STATUS = "status"
    COMPLAINT = "complaint"
    HUMAN = "human"
    TALK = "talk"
    UNCLEAR = "unclear"


class Risk(StrEnum):
    """How soon a person must act; ordered by `rank`."""

    ROUTINE = "routine"
    ATTENTION = "attention"
    URGENT = "urgent"
    EMERGENCY = "emergency"

    @property
    def rank(self) -> int:
        """0 (routine) to 3 (emergency)."""
        return _RISK_ORDER[self]

    def at_least(self, other: "Risk") -> bool:
        """Whether this risk is `other` or higher."""
        return self.rank >= other.rank


_RISK_ORDER = {risk: rank for rank, risk in enumerate(Risk)}


def highest(*risks: Risk) -> Risk:
    """The highest of the risks given; routine when there is none."""
    return max(risks, key=lambda risk: risk.rank, default=Risk.ROUTINE)


class DangerKind(StrEnum):
    """What raised the risk; several at once are possible."""

    SUICIDE = "suicide"
    SELF_HARM = "self_harm"
    POISONING = "poisoning"
    MEDICAL = "medical"
    FALL = "fall"
    STROKE = "stroke"
    FIRE_GAS = "fire_gas"
    VIOLENCE = "violence"
    NEGLECT = "neglect"
    FRAUD = "fraud"
    MISSING = "missing"
    HAZARD = "hazard"
    THIRD_PARTY = "third_party"
    REPEAT_CONTACT = "repeat_contact"
    ASR_DOUBT = "asr_doubt"


class Stage(StrEnum):
    """Where a case stands, in the profession's own order, with the two side ways out."""

    INTAKE = "intake"
    ASSESSMENT = "assessment"
    PLAN = "plan"
    INTERVENTION = "intervention"
    EVALUATION = "evaluation"
    CLOSED = "closed"
    REFERRED = "referred"
    WITHDRAWN = "withdrawn"

    @property
    def is_open(self) -> bool:
        """Whether a person still waits for something."""
        return self not in (Stage.CLOSED, Stage.REFERRED, Stage.WITHDRAWN)


class Channel(StrEnum):
    """The way by which somebody speaks to us."""

    PHONE = "phone"
    KIOSK = "kiosk"
    WECHAT = "wechat"
    TERMINAL = "terminal"


class Speaker(StrEnum):
    """Who spoke: the person, a family member, or a volunteer operating for them (代操作)."""

    SELF = "self"
    FAMILY = "family"
    VOLUNTEER = "volunteer"


class Purpose(StrEnum):
    """What a call that the service makes is for."""

    CALL_BACK = "call_back"
    REMINDER = "reminder"
    HELPED = "helped"


NEED_ZH = {
    Need.EMERGENCY: "紧急求助",
    Need.CRISIS: "心理危机",
    Need.ABUSE: "受虐遗弃",
    Need.FRAUD: "疑似诈骗",
    Need.HEALTH: "健康咨询",
    Need.MEDICINE: "用药",
    Need.EMOTION: "情绪陪伴",
    Need.FAMILY: "家庭关系",
    Need.BENEFITS: "养老与救助",
    Need.INSURANCE: "医保报销",
    Need.CARE: "照护服务",
    Need.GOODS: "代购与物资",
    Need.FARM: "农事",
    Need.HOME: "水电住房",
    Need.LEGAL: "法律纠纷",
    Need.PAPERS: "证件户口",
    Need.DIGITAL: "手机帮助",
    Need.TRANSPORT: "出行",
    Need.STATUS: "查进度",
    Need.COMPLAINT: "投诉建议",
    Need.HUMAN: "找人",
    Need.TALK: "闲聊与应答",
    Need.UNCLEAR: "听不清",
}

RISK_ZH = {
    Risk.EMERGENCY: "立即",
    Risk.URGENT: "紧急",
    Risk.ATTENTION: "关注",
    Risk.ROUTINE: "一般",
}

KIND_ZH = {
    DangerKind.SUICIDE: "轻生",
    DangerKind.SELF_HARM: "自伤",
    DangerKind.POISONING: "中毒",
    DangerKind.MEDICAL: "急病",
    DangerKind.FALL: "跌倒",
    DangerKind.STROKE: "中风征兆",
    DangerKind.FIRE_GAS: "火灾燃气",
    DangerKind.VIOLENCE: "暴力",
    DangerKind.NEGLECT: "遗弃苛待",
    DangerKind.FRAUD: "诈骗",
    DangerKind.MISSING: "走失",
    DangerKind.HAZARD: "险情",
    DangerKind.THIRD_PARTY: "说的是别人",
    DangerKind.REPEAT_CONTACT: "反复求助",
    DangerKind.ASR_DOUBT: "没听清的险字",
}

STAGE_ZH = {
    Stage.INTAKE: "接案",
    Stage.ASSESSMENT: "预估",
    Stage.PLAN: "计划",
    Stage.INTERVENTION: "介入",
    Stage.EVALUATION: "评估",
    Stage.CLOSED: "结案",
    Stage.REFERRED: "转介",
    Stage.WITHDRAWN: "撤回",
}

CHANNEL_ZH = {
    Channel.PHONE: "电话",
    Channel.KIOSK: "站点",
    Channel.WECHAT: "微信",
    Channel.TERMINAL: "终端",
}

SPEAKER_ZH = {
    Speaker.SELF: "本人",
    Speaker.FAMILY: "家人",
    Speaker.VOLUNTEER: "志愿者代操作",
}

PURPOSE_ZH = {
    Purpose.CALL_BACK: "电话断了打回去",
    Purpose.REMINDER: "提醒",
    Purpose.HELPED: "回访有没有帮到",
}
