"""The fixed cast: two workers who may, one who must be refused, a villager, her daughter, a volunteer."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Account:
    """Somebody who signs in to the console."""

    name: str
    display_name: str
    role: str
    password: str


LIN = Account("lin", "社工小林", "worker", "lin-door-7352")
"""A worker on duty."""

ZHOU = Account("zhou", "社工老周", "worker", "zhou-door-9136")
"""The second worker on duty."""

HU = Account("hu", "社工小胡", "worker", "hu-door-2865")
"""Left the county; the account is shut and must be refused everywhere."""

FANG = Account("fang", "志愿者方姐", "volunteer", "fang-door-5021")
"""Helps at the station, sees the queue, not what was said."""

ACCOUNTS = (LIN, ZHOU, HU, FANG)


@dataclass(frozen=True)
class Villager:
    """Somebody who speaks to us, or for whom somebody speaks."""

    name: str
    phone: str
    speaker: str


XIUYING = Villager("王秀英", "13812345678", "self")
"""The villager herself."""

XIAOMEI = Villager("李小梅", "13987654321", "family")
"""Her daughter, who lives in town."""

VILLAGE, STATION, STATION_NAME = "青石村", "qingshi", "青石村便民站"

# What they say; the screen's own tests measure the screen, here one clear sentence of each kind is enough.
DARK = "我不想活了"
"""Urgent: a wish to die, nothing at hand."""
DARK_WITH_MEANS = "我不想活了，农药就在床头"
CHEST = "我胸口疼得厉害，喘不上气"
"""Emergency."""
BEATEN = "儿子打我"
"""Urgent, of another need."""
SALT = "我想买两包盐"
"""Nothing to fear."""
VEILED = "我走了你们就清静了"
"""A wish to die that is not said in so many words."""
