"""What would the plan cost if? Answers managers' questions from the last readings of a site, in a process of its own.

Two plans are made from the same readings and forecasts, one as things are and one as asked, and compared. Nothing is
written to any device, and the running plan is not touched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import numpy as np

from ems.assets import Battery, Dwelling, Photovoltaic, Plant, Supply
from ems.assets.battery import value_at_end_per_kwh
from ems.district import District
from ems.dry_run import Known, from_site, planned
from ems.loop.site import Site
from ems.market import prices
from ems.optimise import NOT_AT_ALL, Plan
from ems.snapshot import Override
from ems.store.questions import Answer, Case, Question, Questions

SLOTS = 192
SHORT = ("comfort", "hot_water", "charging", "unserved")  # terms of what a plan cannot serve


class QuestionError(ValueError):
    """A question about something that the district does not have."""


def answer_all(district: District, site: Site, clock: Callable[[], datetime]) -> int:
    """Answers what waits in a site's folder; returns how many. A question that fails is answered with its trouble."""
    questions, count = Questions(site.folder), 0
    while waiting := questions.waiting():
        one, begun = waiting[0], clock()
        try:
            found = answered(district, from_site(district, site), one, SLOTS)
            questions.answer(one.number, replace(found, made_at=clock(), seconds=(clock() - begun).total_seconds()))
        except Exception as error:  # whoever asked waits for an answer, and the next question is another one
            trouble = f"{type(error).__name__}: {error}"
            questions.answer(one.number, Answer(clock(), (clock() - begun).total_seconds(), trouble=trouble))
        count += 1
    return count


def answered(district: District, known: Known, question: Question, count: int) -> Answer:
    """Both plans over `count` quarter-hours. Raises QuestionError."""
    known = replace(known, previous=None)  # leaving the running plan is no cost of what is asked
    other, asked = otherwise(district, known, question)
    plans = {"now": planned(district, known, count, NOT_AT_ALL), "asked": planned(other, asked, count, NOT_AT_ALL)}
    cases = {
        name: case(of, plans[name], stores=question.what != "price")
        for name, of in (("now", district), ("asked", other))
    }
    if question.what == "battery":
        terms = cases["asked"].terms
        terms["stores"] = round(terms["stores"] + more_at_start_euro(district, plans["now"], plans["asked"]), 2)
    doubts = [p.cost - p.bound for p in plans.values() if p.bound is not None]
    return Answer(
        made_at=known.snapshot.at,
        seconds=0.0,
        start=plans["now"].slots.start,
        minutes=plans["now"].slots.minutes,
        doubt_euro=round(max(doubts), 2) if len(doubts) == len(plans) else None,
        cases=cases,
    )


def more_at_start_euro(district: District, now: Plan, asked: Plan) -> float:
    """What batteries of another size begin with more, at the worth of what is left in them: it is nobody's gain.

    A larger one that stands at its minimum would else be given what its own minimum lies higher.
    """
    euro = 0.0
    for name, battery in district.of(Battery).items():
        more_kwh = float(asked.state(name, "energy_kwh")[0] - now.state(name, "energy_kwh")[0])
        contract = district.contracts[district.asset(battery.supply, Supply).contract]
        euro += more_kwh * value_at_end_per_kwh(battery, prices(contract, now.slots).import_per_kwh)
    return euro


def otherwise(district: District, known: Known, question: Question) -> tuple[District, Known]:
    """The district and what is known of it, as the question would have them. Raises QuestionError."""
    amount, assets = question.amount, dict(district.assets)
    match question.what:
        case "hold":
            if question.subject not in district.commanded or question.until is None:
                raise QuestionError(f"{question.subject} is no point that can be held until a time")
            hold = Override(question.subject, amount, question.by, "", question.until)
            snapshot = replace(known.snapshot, holds={**known.snapshot.holds, question.subject: hold})
            return district, replace(known, snapshot=snapshot)
        case "plant":
            if question.subject not in district.of(Plant):
                raise QuestionError(f"{question.subject} is no plant")
            out = known.snapshot.out_of_service | {question.subject}
            return district, replace(known, snapshot=replace(known.snapshot, out_of_service=out))
        case "price":
            contracts = {
                name: c.model_copy(
                    update={
                        "periods": {
                            k: p.model_copy(update={"energy_per_kwh": p.energy_per_kwh * amount})
                            for k, p in c.periods.items()
                        }
                    }
                )
                for name, c in district.contracts.items()
            }
            return replace(district, contracts=contracts), known
        case "battery" if amount == 0:
            out = known.snapshot.out_of_service | district.of(Battery).keys()
            return district, replace(known, snapshot=replace(known.snapshot, out_of_service=frozenset(out)))
        case "battery":
            for name, battery in district.of(Battery).items():
                sizes = ("capacity_kwh", "charge_limit_kw", "discharge_limit_kw")
                assets[name] = battery.model_copy(update={k: getattr(battery, k) * amount for k in sizes})
        case "sun":
            made = dict(known.history.values)  # by the roofs that are there, from which forecasts learn
            for name, roof in district.of(Photovoltaic).items():
                assets[name] = roof.model_copy(update={"peak_kw": roof.peak_kw * amount})
                if (point := roof.point("power_kw")) in made:
                    made[point] = made[point] * amount
            known = replace(known, history=replace(known.history, values=made))
        case "comfort":
            uses = {home.use for home in district.of(Dwelling).values()}
            shifted = {
                use: band.model_copy(
                    update={k: getattr(band, k) + amount for k in ("floor_c", "default_c", "ceiling_c")}
                )
                if use in uses
                else band
                for use, band in district.comfort.items()
            }
            return replace(district, comfort=shifted), known
    return replace(district, assets=assets), known


def case(district: District, plan: Plan, *, stores: bool = True) -> Case:
    """What a plan comes to. The grid is what crosses the supply points; private meters are the same in both cases.

    Without `stores` what is left in them is not counted: at other prices the same heat would be worth another sum.
    """
    grid = np.zeros(plan.slots.count)
    carbon = bought = sold = 0.0
    for name, supply in district.of(Supply).items():
        row = plan.flow(name, "power_kw")
        grid += row
        taken = np.maximum(row, 0.0) * plan.slots.hours
        bought += float(taken.sum())
        sold -= float(np.minimum(row, 0.0).sum()) * plan.slots.hours
        contract = district.contracts[supply.contract]
        carbon += float((taken * prices(contract, plan.slots).carbon_kg_per_kwh).sum())
    return Case(
        terms={t: round(float(euro), 2) for t, euro in plan.cost_terms.items() if stores or t != "stores"},
        bought_kwh=round(bought, 1),
        sold_kwh=round(sold, 1),
        peak_kw=round(float(grid.max()), 1),
        carbon_kg=round(carbon, 1),
        short_euro=round(sum(plan.cost_terms.get(term, 0.0) for term in SHORT), 2),
        grid_kw=[round(v, 2) for v in grid.tolist()],
    )
