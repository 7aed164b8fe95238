"""Commissioning: every point of a building walked with a person, and a report of it that shows when it was altered.

A point is read, its unit and sign are held against a second source, and what is ours to write is written and given
back, each with a yes of its own. The walk goes on where it was broken off.
"""

from ems.commission.compare import Comparison, Verdict, compare
from ems.commission.person import Answers, AnswersError, Person, Terminal
from ems.commission.record import PointRecord, Record, sealed, verified
from ems.commission.report import check, html
from ems.commission.walk import Walk

__all__ = [
    "Answers",
    "AnswersError",
    "Comparison",
    "Person",
    "PointRecord",
    "Record",
    "Terminal",
    "Verdict",
    "Walk",
    "check",
    "compare",
    "html",
    "sealed",
    "verified",
]
