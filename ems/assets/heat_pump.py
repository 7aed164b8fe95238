"""The law of a water-source heat pump: a share of Carnot, and a capacity that follows the temperatures.

Shared by what runs one (`plant.py`) and by what is filled by one and asks what its heat costs (`tank.py`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

APPROACH_K = 2.0  # between a leaving water temperature and its refrigerant
SOURCE_DROP_K = 5.0  # the loop's water is this much colder (warmer) when it leaves the plant
SMALLEST_LIFT_K = 8.0  # below it a compressor gains nothing more
LARGEST_COP = 9.0
KELVIN = 273.15
REFERENCE_SOURCE_C, REFERENCE_LEAVING_C = 16.0, 40.0
CAPACITY_PER_SOURCE_K, CAPACITY_PER_LEAVING_K = 0.02, 0.006  # relative change of heat per kelvin (assumption)


def cop_heating(leaving_c: Any, source_c: Any, carnot_share: float) -> Any:
    """Heat per electricity: a share of Carnot between the two refrigerant temperatures.

    Carnot: COP = T_hot / (T_hot - T_cold), kelvin (any textbook of thermodynamics).
    """
    hot = leaving_c + APPROACH_K + KELVIN
    lift = np.maximum(hot - (source_c - SOURCE_DROP_K / 2 - APPROACH_K + KELVIN), SMALLEST_LIFT_K)
    return np.minimum(carnot_share * hot / lift, LARGEST_COP)


def cop_cooling(leaving_c: Any, sink_c: Any, carnot_share: float) -> Any:
    """Cold per electricity: Carnot's T_cold / (T_hot - T_cold), a share of it."""
    cold = leaving_c - APPROACH_K + KELVIN
    lift = np.maximum(sink_c + SOURCE_DROP_K / 2 + APPROACH_K + KELVIN - cold, SMALLEST_LIFT_K)
    return np.minimum(carnot_share * cold / lift, LARGEST_COP)


def heat_capacity_kw(heat_kw: float, leaving_c: Any, source_c: Any) -> Any:
    """Heat of one circuit, kW: more from a warmer source, less at a hotter leaving temperature."""
    source = 1 + CAPACITY_PER_SOURCE_K * (source_c - REFERENCE_SOURCE_C)
    leaving = 1 - CAPACITY_PER_LEAVING_K * (leaving_c - REFERENCE_LEAVING_C)
    return heat_kw * np.clip(source, 0.5, 1.3) * np.clip(leaving, 0.5, 1.1)
