"""The views' quantity of meters that take an average: what was added up by the number of events, exactly rounded."""

from importlib import import_module

BLOCKING = False

# The sum in the smallest unit, divided as a whole number: half of a unit and more is rounded away from zero.
_UNITS = "toInt256(sum(toDecimal256(d.sum, 12)) * toDecimal256('1000000000000', 0))"
_EVENTS = "toInt256(greatest(sum(d.events), 1))"
_ROUNDED = f"(intDiv(abs({_UNITS}), {_EVENTS}) + (2 * (abs({_UNITS}) % {_EVENTS}) >= {_EVENTS})) * sign({_UNITS})"
_AVERAGE = f"aggregation = 'avg', toDecimal256({_ROUNDED}, 12) / toDecimal256('1000000000000', 0),\n        "
_DISTINCT = "toDecimal256(uniqExactIf(d.value, d.is_value), 12)"

BACKWARD = [
    statement for statement in import_module("clickhouse.migrations.0002_views").FORWARD if _DISTINCT in statement
]
assert len(BACKWARD) == 13, "the views that show quantities"
FORWARD = [statement.replace(_DISTINCT, _AVERAGE + _DISTINCT) for statement in BACKWARD]
