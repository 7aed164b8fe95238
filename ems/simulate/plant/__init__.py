"""The simulated plant: physics of its own, at one-minute steps, never the planner's law."""

from ems.simulate.plant.front import UnknownPointError
from ems.simulate.plant.truth import Truth
from ems.simulate.plant.world import World

__all__ = ["Truth", "UnknownPointError", "World"]
