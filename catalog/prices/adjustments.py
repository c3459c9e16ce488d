"""What may be said on any price: what happens to the quantity before it is priced, and to the amount after it."""

from __future__ import annotations

from decimal import Decimal

from catalog.fields import Fields
from catalog.prices.bounds import check_pair, refuse_with
from catalog.prices.kinds import Choice, Definition, Field, Flag, Number, Record, Text, decimal_of

# ``up`` is away from zero and ``down`` towards it, so that a correction is rounded as what it corrects was.
ROUNDING = ("up", "down", "half_away", "half_even")
PLACES = Number(places_max=0, most=12)
# Percentages have ten places, so that a hundredth of one has twelve.
PERCENT = Number(places_max=10, most=1_000_000)
FACTOR = Number(above_zero=True, most=10**12)
AMOUNT = Number()

UNIT_CONVERSION = (
    Field("op", Choice(("multiply", "divide")), required=True),
    Field("factor", Number(above_zero=True), required=True),
    Field("rounding", Choice(("none", *ROUNDING)), default="none"),
    Field("places", PLACES, default="0"),
)
ROUND_QUANTITY = (Field("mode", Choice(ROUNDING), required=True), Field("places", PLACES, default="0"))
COMMITMENT = (
    Field("amount", AMOUNT),
    Field("quantity", Number(above_zero=True)),
    Field("overage_factor", Number(most=10**12), default="1"),
    Field("true_up", Flag(), default=False),
    Field("per", Choice(("period", "bucket")), default="period"),
)

ADJUSTMENTS = (
    Field("bucket", Choice(("hour", "day"))),
    Field("unit_conversion", Record(UNIT_CONVERSION)),
    Field("round_quantity", Record(ROUND_QUANTITY)),
    Field("free_units", AMOUNT, default="0"),
    Field("included_units", AMOUNT),
    Field("overage_unit_price", AMOUNT),
    Field("zero_usage", Choice(("first_tier_flat", "no_charge")), default="no_charge"),
    Field("discount_percent", Number(places_max=10, most=100), default="0"),
    Field("maximum_amount", AMOUNT),
    Field("minimum_amount", AMOUNT),
    Field("commitment", Record(COMMITMENT)),
    Field("pricing_unit", Text()),
    Field("conversion_rate", FACTOR),
)

ON_QUANTITY = ("bucket", "unit_conversion", "round_quantity", "free_units", "included_units", "overage_unit_price")
ZERO_USAGE_MODELS = frozenset({"flat", "graduated", "volume", "graduated_percentage", "stair_step"})
# A price by event or by group has no single quantity that could be converted, shared out or committed to.
WITHOUT_ONE_QUANTITY = frozenset({"percentage", "matrix"})


def check_adjustments(fields: Fields, model: str, found: Definition) -> None:
    """Note what the adjustments of a price say against each other, or against its model."""
    check_conversion(fields, found)
    check_pair(fields, found, "included_units", "overage_unit_price")
    check_pair(fields, found, "pricing_unit", "conversion_rate")
    check_commitment(fields, model, found)
    least, most = decimal_of(found, "minimum_amount"), decimal_of(found, "maximum_amount")
    if least is not None and most is not None and least > most:
        fields.fault("minimum_amount", "minimum_above_maximum", f"must not be above maximum_amount, {most}")
    if found.get("zero_usage") == "first_tier_flat" and model not in ZERO_USAGE_MODELS:
        fields.fault("zero_usage", "field_not_with_model", f"{model} has no flat price that could be due at 0")
    if model in WITHOUT_ONE_QUANTITY:
        refuse_with(fields, found, ON_QUANTITY, f"{model} has no single quantity to which this could be done")


def check_conversion(fields: Fields, found: Definition) -> None:
    """Places say where a rounding rounds to, so they need one."""
    conversion = found.get("unit_conversion")
    if isinstance(conversion, dict) and "places" in conversion and "rounding" not in conversion:
        fields.fault("unit_conversion.places", "field_not_alone", "says nothing without rounding")


def check_commitment(fields: Fields, model: str, found: Definition) -> None:
    """A commitment is to an amount or to a quantity."""
    commitment = found.get("commitment")
    if not isinstance(commitment, dict):
        return
    if ("amount" in commitment) == ("quantity" in commitment):
        fields.fault("commitment", "commitment_unclear", "must have an amount or a quantity, and not both")
    if "quantity" in commitment and model in WITHOUT_ONE_QUANTITY:
        fields.fault("commitment.quantity", "field_not_with_model", f"{model} has no single quantity to commit to")
    if commitment.get("per") == "bucket" and "bucket" not in found:
        fields.fault("commitment.per", "field_not_alone", "says nothing without bucket")
    if "quantity" in commitment and "bucket" in found and commitment.get("per") != "bucket":
        say = "a price by bucket has no single quantity of a period to commit to: say per: bucket"
        fields.fault("commitment.quantity", "field_not_with_bucket", say)


def zero_is_charged(definition: Definition) -> bool:
    """Whether the flat price is due although nothing was used."""
    default = "first_tier_flat" if definition["model"] == "flat" else "no_charge"
    return definition.get("zero_usage", default) == "first_tier_flat"


def hundredth(percent: object) -> Decimal:
    """A percentage as a factor."""
    return Decimal(str(percent)).scaleb(-2)
