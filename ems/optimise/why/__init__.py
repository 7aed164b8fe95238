"""Why a plan is what it is: what each decision is worth, found by solving the rest again with it undone.

Nothing is said that a re-solve has not shown. Re-solves are many, so there is an `Effort`; the decisions that do most
otherwise come first, and what was not looked into carries no sentence.
"""

from ems.optimise.why.explain import Trial, Why, explain
from ems.optimise.why.reason import AT_LENGTH, IN_THE_LOOP, NOT_AT_ALL, Effort, Reason

__all__ = ["AT_LENGTH", "IN_THE_LOOP", "NOT_AT_ALL", "Effort", "Reason", "Trial", "Why", "explain"]
