"""Every pricing model with its fields. A new one is a row here and its arithmetic in rating."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from catalog.fields import Fields, kind_of
from catalog.prices.adjustments import ADJUSTMENTS, AMOUNT, PERCENT
from catalog.prices.bounds import check_blocks, check_bounds, check_event_bounds, check_matrix
from catalog.prices.kinds import Choice, Definition, Field, Number, Record, Records, object_schema
from core.limits import PROPERTY_NAME_BYTES_MAX, PROPERTY_VALUE_BYTES_MAX

TIERS_MAX: Final = 200
GROUPS_MAX: Final = 1_000
GROUP_KEYS_MAX: Final = 8
COUNT = Number(places_max=0)
SIZE = Number(above_zero=True)

UP_TO = Field("up_to", Number(), kept=True)
FLAT_PRICE = Field("flat_price", AMOUNT, default="0", kept=True)
UNIT_PRICE = Field("unit_price", AMOUNT, required=True)
RATE_PERCENT = Field("rate_percent", PERCENT, required=True)

UNIT_TIERS = (UP_TO, UNIT_PRICE, FLAT_PRICE, Field("max_amount", AMOUNT))
PERCENT_TIERS = (UP_TO, RATE_PERCENT, FLAT_PRICE)
STEP_TIERS = (UP_TO, Field("flat_price", AMOUNT, required=True))
BLOCK_TIERS = (
    Field("max_blocks", Number(above_zero=True, places_max=0), kept=True),
    Field("block_size", SIZE, required=True),
    Field("block_price", AMOUNT, required=True),
)


@dataclass(frozen=True, slots=True)
class GroupValues:
    """A mapping from group keys to the values that they must have."""

    def read(self, fields: Fields, name: str) -> object:
        """The mapping, each value a text."""
        raw = fields.take(name)
        if not isinstance(raw, dict) or not raw:
            fields.fault(name, "not_mapping", f"must be a mapping of group keys to values, not {kind_of(raw)}")
            return ""
        inner = Fields(raw, fields.at(name), fields.faults)
        return {key: inner.text(key, PROPERTY_VALUE_BYTES_MAX) for key in raw}

    def schema(self) -> Definition:
        """An object of texts."""
        return {"type": "object", "minProperties": 1, "additionalProperties": {"type": "string"}}


@dataclass(frozen=True, slots=True)
class GroupKeys:
    """The names of the properties that usage is grouped by."""

    def read(self, fields: Fields, name: str) -> object:
        """The names, as a list."""
        return list(fields.texts(name, PROPERTY_NAME_BYTES_MAX, GROUP_KEYS_MAX))

    def schema(self) -> Definition:
        """An array of texts."""
        return {"type": "array", "minItems": 1, "maxItems": GROUP_KEYS_MAX, "items": {"type": "string"}}


@dataclass(frozen=True, slots=True)
class DefaultPrice:
    """What usage costs that no entry is for: a unit price, or the word ``hold``."""

    def read(self, fields: Fields, name: str) -> object:
        """The word, or a mapping with the unit price."""
        raw = fields.take(name)
        if isinstance(raw, str) and raw != "hold":
            fields.fault(name, "not_mapping", "must be the word hold, or a mapping with a unit_price")
            return ""
        return raw if raw == "hold" else Record((UNIT_PRICE,)).read(fields, name)

    def schema(self) -> Definition:
        """Either of them."""
        return {"anyOf": [{"const": "hold"}, object_schema((UNIT_PRICE,))]}


def no_check(_fields: Fields, _found: Definition) -> None:
    """The fields say all there is to say."""


@dataclass(frozen=True, slots=True)
class PriceModel:
    """The fields of a model, and what they must say together."""

    members: tuple[Field, ...]
    check: Callable[[Fields, Definition], None] = no_check


def tiers(members: tuple[Field, ...]) -> Field:
    """The field ``tiers``."""
    return Field("tiers", Records(members, TIERS_MAX, "tier"), required=True)


FLAT = PriceModel(
    (
        Field("flat_price", AMOUNT, required=True),
        Field("payment_term", Choice(("advance", "arrears")), default="arrears"),
        Field("recurrence", Choice(("recurring", "one_time")), default="recurring"),
    )
)
PACKAGE = PriceModel(
    (
        Field("package_size", SIZE, required=True),
        Field("package_price", AMOUNT, required=True),
        Field("package_rounding", Choice(("up", "down")), default="up"),
        Field("minimum_packages", COUNT),
    )
)
PERCENTAGE = PriceModel(
    (
        RATE_PERCENT,
        Field("fixed_fee_per_event", AMOUNT, default="0"),
        Field("per_event_min", AMOUNT, default="0"),
        Field("per_event_max", AMOUNT),
        Field("free_events", COUNT, default="0"),
        Field("free_amount", AMOUNT, default="0"),
    ),
    check_event_bounds,
)
MATRIX = PriceModel(
    (
        Field("group_by", GroupKeys(), required=True),
        Field(
            "prices",
            Records((Field("group", GroupValues(), required=True), UNIT_PRICE), GROUPS_MAX, "entry"),
            required=True,
        ),
        Field("default", DefaultPrice(), required=True),
    ),
    check_matrix,
)

MODELS: Final[Mapping[str, PriceModel]] = MappingProxyType(
    {
        "flat": FLAT,
        "per_unit": PriceModel((UNIT_PRICE,)),
        "graduated": PriceModel((tiers(UNIT_TIERS),), check_bounds),
        "volume": PriceModel((tiers(UNIT_TIERS),), check_bounds),
        "package": PACKAGE,
        "percentage": PERCENTAGE,
        "graduated_percentage": PriceModel((tiers(PERCENT_TIERS),), check_bounds),
        "dynamic": PriceModel(()),
        "matrix": MATRIX,
        "block_tiers": PriceModel(
            (Field("mode", Choice(("graduated", "volume")), default="graduated", kept=True), tiers(BLOCK_TIERS)),
            check_blocks,
        ),
        "stair_step": PriceModel((tiers(STEP_TIERS),), check_bounds),
    }
)


def adjustments_of(model: str) -> tuple[Field, ...]:
    """The fields that may stand beside a model's own, with the default that each has there."""
    # A flat price is due whether or not something was used; all others are due for what was used.
    return tuple(
        replace(field, default="first_tier_flat") if (model, field.name) == ("flat", "zero_usage") else field
        for field in ADJUSTMENTS
    )
