"""What is said in numbers and names, so that it can be heard, remembered and not overheard."""

_DIGITS = dict(zip("0123456789", "零幺二三四五六七八九", strict=True))


def digit_by_digit(number: str) -> str:
    """`3021` → `三、零、二、幺`, as numbers are read out to be written down."""
    return "、".join(_DIGITS.get(digit, digit) for digit in number)


def masked_name(name: str) -> str:
    """`王秀英` → `王**`."""
    return name[:1] + "*" * (len(name) - 1)


def masked_phone(phone: str) -> str:
    """`13812341234` → `138****1234`."""
    return f"{phone[:3]}****{phone[-4:]}" if len(phone) >= 7 else "*" * len(phone)
