"""Every pricing model. A new one is a file beside this one and a row here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from rating.models.graduated import GRADUATED
from rating.models.per_unit import PER_UNIT
from rating.shapes import Model

MODELS: Final[Mapping[str, Model]] = MappingProxyType({model.name: model for model in (PER_UNIT, GRADUATED)})
