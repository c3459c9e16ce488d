"""Money: an integer of minor units and a currency. It exists only after rounding, which happens here and once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, localcontext
from typing import Literal

from core.errors import Refused
from core.quantity import EXACT

# Currencies of ISO 4217 whose minor unit is not a hundredth.
MINOR_DIGITS = {
    "BHD": 3, "BIF": 0, "CLF": 4, "CLP": 0, "DJF": 0, "GNF": 0, "IQD": 3, "ISK": 0, "JOD": 3, "JPY": 0, "KMF": 0,
    "KRW": 0, "KWD": 3, "LYD": 3, "OMR": 3, "PYG": 0, "RWF": 0, "TND": 3, "UGX": 0, "UYI": 0, "UYW": 4, "VND": 0,
    "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
}  # fmt: skip
HUNDREDTHS = frozenset(
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP "
    "CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR "
    "JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN "
    "NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP "
    "SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD YER ZAR ZMW ZWG".split()
)

RoundingMode = Literal["half_away", "half_even"]
ROUNDING = {"half_away": ROUND_HALF_UP, "half_even": ROUND_HALF_EVEN}


@dataclass(frozen=True, slots=True)
class Money:
    """``minor`` units of ``currency``: 4761 USD is 47.61 dollars, 4761 JPY is 4,761 yen."""

    minor: int
    currency: str

    def __add__(self, other: Money) -> Money:
        if other.currency != self.currency:
            raise ValueError(f"cannot add {other.currency} to {self.currency}")
        return Money(self.minor + other.minor, self.currency)

    def __str__(self) -> str:
        return f"{self.decimal()} {self.currency}"

    def decimal(self) -> Decimal:
        """The amount in major units, with all the places that its currency has."""
        with localcontext(EXACT):
            return Decimal(self.minor).scaleb(-minor_digits(self.currency))


def minor_digits(currency: str) -> int:
    """Decimal places of a currency's minor unit (ISO 4217); raises ``Refused`` for an unknown code."""
    if currency in HUNDREDTHS:
        return 2
    if currency in MINOR_DIGITS:
        return MINOR_DIGITS[currency]
    raise Refused("currency_unknown", f"{currency!r} is not a currency code of ISO 4217")


def to_money(amount: Decimal, currency: str, mode: RoundingMode = "half_away") -> Money:
    """Round once to the currency's minor unit; halves go away from zero unless the merchant chose half-even."""
    with localcontext(EXACT):
        minor = amount.scaleb(minor_digits(currency)).quantize(Decimal(1), rounding=ROUNDING[mode])
    return Money(int(minor), currency)


def allocate(total: Money, weights: Sequence[Decimal]) -> list[Money]:
    """Share ``total`` out by ``weights`` (not negative, not all zero) with the largest remainder method.

    The parts always add up to the total; on equal remainders the earlier share gets the odd unit.
    """
    whole = sum(weights, Decimal(0))
    if whole <= 0 or min(weights) < 0:
        raise ValueError("weights must not be negative, and one must be above zero")
    sign = -1 if total.minor < 0 else 1
    with localcontext(EXACT):
        exact = [abs(total.minor) * weight / whole for weight in weights]
        floors = [int(share) for share in exact]
        rest = abs(total.minor) - sum(floors)
        by_remainder = sorted(range(len(weights)), key=lambda i: (floors[i] - exact[i], i))
    for i in by_remainder[:rest]:
        floors[i] += 1
    return [Money(sign * minor, total.currency) for minor in floors]
