"""District, snapshot and forecasts in; flows, states, set points, costs by name, shortfalls and reasons out."""

from ems.optimise.plan import Plan, Shortfall, plan
from ems.optimise.reasons import Reason
from ems.optimise.solve import UnsolvedError

__all__ = ["Plan", "Reason", "Shortfall", "UnsolvedError", "plan"]
