"""District, snapshot and forecasts in; flows, states, set points, costs by name, shortfalls and reasons out."""

from ems.optimise.check import Fault, check
from ems.optimise.plan import Plan, Shortfall, WrongPlanError, plan
from ems.optimise.reasons import Reason
from ems.optimise.solve import UnsolvedError

__all__ = ["Fault", "Plan", "Reason", "Shortfall", "UnsolvedError", "WrongPlanError", "check", "plan"]
