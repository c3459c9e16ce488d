"""A seeded month as rating is given it: a catalog of every model, due prices, usage, and the detail that some go by.

Ids, texts and numbers have the lengths that the catalog's have. Two prices in sixteen of each model say something
around the price, one more is by the day. Quantities come in the order of the prices, as ClickHouse's answers do.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from catalog.fields import Faults
from catalog.price import parse_price, price_text
from catalog.prices.adjustments import WITHOUT_ONE_QUANTITY
from core.limits import QUANTITY_SCALE
from rating.charge import QUANTITY
from rating.detail import LINE, USAGE_BUCKETS, Detail
from rating.exact import UNITS, units, whole
from rating.inputs import DUE_PRICES, USAGE
from rating.models import MODELS
from rating.models.matrix import group_text

Price = dict[str, Any]
Whole = npt.NDArray[np.int64]
START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
PRICES_A_MODEL: Final = 16
METERS_A_PLAN: Final = 4
# Of a percentage by event, a price by group and a price by day: rows of detail a line.
EVENTS, DAYS_USED, DAYS = 5, 3, 31
REGIONS: Final = ("eu-central", "us-east", "ap-south")
BESIDE: Final[tuple[Price, ...]] = (
    {"discount_percent": "12.5", "minimum_amount": "5", "maximum_amount": "90000"},
    {"commitment": {"amount": "250", "overage_factor": "1.25", "true_up": True}, "round_quantity": {"mode": "up"}},
)


@dataclass(frozen=True, slots=True, eq=False)
class Month:
    """What ``rate`` is called with."""

    prices: pl.DataFrame
    usage: pl.DataFrame
    detail: Detail

    def of_model(self, name: str) -> Month:
        """The lines of one model alone."""
        prices = self.prices.filter(pl.col("model") == name)
        usage = self.usage.join(prices, on=["subscription_id", "price_id"], how="semi", maintain_order="left")
        return Month(prices, usage, self.detail)

    def detail_of(self, prices: pl.DataFrame) -> Detail:
        """The detail of some lines."""
        return Detail(
            of_lines(self.detail.events, prices),
            of_lines(self.detail.groups, prices),
            of_lines(self.detail.buckets, prices),
            of_period=True,
        )


def of_lines(frame: pl.DataFrame | None, prices: pl.DataFrame) -> pl.DataFrame | None:
    """The rows of some lines."""
    return None if frame is None else frame.join(prices, on=LINE, how="semi", maintain_order="left")


def seeded_month(lines: int, seed: int = 1, models: tuple[str, ...] = tuple(MODELS)) -> Month:
    """So many subscription-meters, four of a subscription, over sixteen prices of each model."""
    rng, numbers = Random(seed), np.random.default_rng(seed)
    catalog = catalog_of(rng, models)
    place = np.arange(lines)
    plan = numbers.integers(0, catalog.height // METERS_A_PLAN, lines // METERS_A_PLAN + 1)[place // METERS_A_PLAN]
    subscription = pl.Series("subscription", place // METERS_A_PLAN).cast(pl.String).str.zfill(26)
    chosen = pl.DataFrame({"number": plan * METERS_A_PLAN + place % METERS_A_PLAN}).join(
        catalog, on="number", maintain_order="left"
    )
    prices = chosen.with_columns(
        subscription_id="sub_" + subscription,
        customer_id="cus_" + subscription,
        subject="c-" + subscription.str.tail(6),
        merchant_id=pl.lit("mer_" + "7" * 26),
        aggregation=pl.lit("sum"),
        currency=pl.lit("USD"),
        period_start=pl.lit(START).cast(DUE_PRICES["period_start"]),
        period_end=pl.lit(END).cast(DUE_PRICES["period_end"]),
    )
    # From a thousandth to ten million units; one line in fifty was not used.
    sizes = numbers.integers(1, 1_000, lines) * 10 ** numbers.integers(0, 8, lines)
    is_used = numbers.integers(0, 50, lines) > 0
    used = prices.with_columns(quantity=decimals(sizes * is_used, 10 ** (QUANTITY_SCALE - 3)))
    detail = Detail(events_of(used), groups_of(used), days_of(used), of_period=True)
    usage = used.with_columns(
        events=pl.lit(12_345, dtype=pl.UInt64),
        windows=pl.lit(678, dtype=pl.UInt64),
        problem=pl.lit(None, dtype=pl.String),
        corrected_from=pl.lit(None, dtype=QUANTITY),
    )
    return Month(prices.select(list(DUE_PRICES)), usage.select(list(USAGE)), detail)


def catalog_of(rng: Random, models: tuple[str, ...]) -> pl.DataFrame:
    """Prices in the order of plans, each by its number."""
    rows = []
    for number in range(PRICES_A_MODEL * len(models)):
        model = models[number % len(models)]
        variant = number // len(models)
        price = price_of(model, variant, rng)
        faults = Faults()
        definition = parse_price(price, "", faults)
        assert definition is not None and not faults.problems, (price, faults.problems)
        kinds = {"bucket": "day", "per_event_min": "event", "group_by": "group"}
        goes_by = next((kind for name, kind in kinds.items() if name in price), "")
        names = (f"plan-{number // METERS_A_PLAN}", f"pri_{number:026d}", f"mtr_{number:026d}", f"meter_{number}")
        rows.append((number, *names, model, price_text(definition), goes_by))
    columns = ("number", "plan", "price_id", "meter_id", "meter", "model", "definition", "by")
    return pl.DataFrame(rows, schema=columns, orient="row")


def price_of(model: str, variant: int, rng: Random) -> Price:
    """A price of a model; some variants say something around it."""
    price = {"model": model} | body_of(model, variant, rng)
    if variant in (3, 7):
        beside = BESIDE[variant // 4]
        one_quantity = model not in WITHOUT_ONE_QUANTITY
        price |= {name: value for name, value in beside.items() if one_quantity or name != "round_quantity"}
    if variant == 11 and model not in WITHOUT_ONE_QUANTITY:
        price["bucket"] = "day"
    return price


def body_of(model: str, variant: int, rng: Random) -> Price:
    """What only this model says."""
    unit = f"0.{rng.randint(1, 999_999):06d}"
    bounds = [str(100 * 10**place * rng.randint(1, 9)) for place in range(1 + variant % 4)]
    ends: list[str | None] = [*bounds, None]
    blocks: list[str | None] = ["10", "50", None]
    bodies: dict[str, Price] = {
        "flat": {"flat_price": str(rng.randint(5, 500))},
        "per_unit": {"unit_price": unit},
        "dynamic": {},
        "package": {"package_size": "1000", "package_price": unit},
        "percentage": {"rate_percent": "2.9"},
        "matrix": {
            "group_by": ["region"],
            "prices": [{"group": {"region": region}, "unit_price": unit} for region in REGIONS[:2]],
            "default": {"unit_price": unit},
        },
        "block_tiers": {
            "mode": "volume" if variant % 2 else "graduated",
            "tiers": [{"max_blocks": most, "block_size": "100", "block_price": unit} for most in blocks],
        },
        "graduated_percentage": {
            "tiers": [{"up_to": end, "rate_percent": "1.5", "flat_price": "0.30"} for end in ends]
        },
        "stair_step": {"tiers": [{"up_to": end, "flat_price": str(rng.randint(5, 500))} for end in ends]},
    }
    tiered = {"tiers": [{"up_to": end, "unit_price": unit, "flat_price": "1"} for end in ends]}
    by_event = {"fixed_fee_per_event": "0.30", "per_event_min": "0.50", "free_events": "2"}
    # Every other percentage is charged event by event.
    return bodies.get(model, tiered) | (by_event if model == "percentage" and variant % 2 else {})


def decimals(numbers: Whole, times: int) -> pl.Expr:
    """Whole numbers of so many units of scale 12 as quantities."""
    return (pl.lit(pl.Series(numbers)).cast(UNITS) * whole(times)).reinterpret(dtype=QUANTITY)


def events_of(used: pl.DataFrame) -> pl.DataFrame:
    """USAGE_EVENTS: each line's quantity in parts alike."""
    return shared(used, "event", (1,) * EVENTS).select(*LINE, order="part", value="value")


def groups_of(used: pl.DataFrame) -> pl.DataFrame:
    """USAGE_GROUPS: each line's quantity by region, the last of which has no price of its own."""
    names = {place: group_text(["region"], {"region": region}) for place, region in enumerate(REGIONS)}
    group = pl.col("part").replace_strict(names, return_dtype=pl.String)
    return shared(used, "group", (2, 1, 1)).select(*LINE, group=group, value="value")


def days_of(used: pl.DataFrame) -> pl.DataFrame:
    """USAGE_BUCKETS: each line's quantity on a few days, and a row for all others."""
    shares = (2, 1, 1)
    start = pl.lit(START).cast(USAGE_BUCKETS["bucket"])
    found = shared(used, "day", shares).select(
        *LINE, bucket=start + pl.duration(days="part"), buckets=pl.lit(1, dtype=pl.Int64), value="value"
    )
    empty = used.filter(pl.col("by") == "day").select(
        *LINE,
        bucket=pl.lit(None, dtype=USAGE_BUCKETS["bucket"]),
        buckets=pl.lit(DAYS - len(shares), dtype=pl.Int64),
        value=pl.lit(0, dtype=QUANTITY),
    )
    return pl.concat([found, empty])


def shared(used: pl.DataFrame, by: str, shares: tuple[int, ...]) -> pl.DataFrame:
    """The quantities of lines whose price goes by something, each in parts of so many shares."""
    parts = pl.DataFrame({"part": range(len(shares)), "share": shares})
    whole_quantity = units(pl.col("quantity")) // whole(sum(shares))
    value = (whole_quantity * pl.col("share").cast(UNITS)).reinterpret(dtype=QUANTITY)
    return used.filter(pl.col("by") == by).join(parts, how="cross").with_columns(value=value)
