"""District, snapshot and forecasts in; flows, states, set points, costs by name, shortfalls and reasons out."""

from ems.optimise.check import Fault, check
from ems.optimise.divide import Memory
from ems.optimise.plan import Plan, Shortfall, WrongPlanError, plan
from ems.optimise.solve import UnsolvedError
from ems.optimise.why import AT_LENGTH, IN_THE_LOOP, NOT_AT_ALL, Effort, Reason

__all__ = [
    "AT_LENGTH",
    "IN_THE_LOOP",
    "NOT_AT_ALL",
    "Effort",
    "Fault",
    "Memory",
    "Plan",
    "Reason",
    "Shortfall",
    "UnsolvedError",
    "WrongPlanError",
    "check",
    "plan",
]
