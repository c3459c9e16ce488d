"""Every pricing model. A new one is a file beside this one and a row here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from rating.models.block_tiers import BLOCK_TIERS
from rating.models.dynamic import DYNAMIC
from rating.models.flat import FLAT
from rating.models.graduated import GRADUATED
from rating.models.graduated_percentage import GRADUATED_PERCENTAGE
from rating.models.matrix import MATRIX
from rating.models.package import PACKAGE
from rating.models.per_unit import PER_UNIT
from rating.models.percentage import PERCENTAGE
from rating.models.stair_step import STAIR_STEP
from rating.models.volume import VOLUME
from rating.shapes import Model

ALL: Final = (
    FLAT,
    PER_UNIT,
    GRADUATED,
    VOLUME,
    PACKAGE,
    PERCENTAGE,
    GRADUATED_PERCENTAGE,
    DYNAMIC,
    MATRIX,
    BLOCK_TIERS,
    STAIR_STEP,
)
MODELS: Final[Mapping[str, Model]] = MappingProxyType({model.name: model for model in ALL})
