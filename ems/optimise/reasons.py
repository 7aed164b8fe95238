"""Why the plan is what it is: a few sentences that its own numbers bear out, in French and English."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ems.assets import Battery, Photovoltaic, Plant, Supply
from ems.assets.outlook import Outlook

if TYPE_CHECKING:
    from ems.optimise.plan import Plan


@dataclass(frozen=True)
class Reason:
    """One sentence about one asset. `euro` is what is at stake over the horizon, to rank by."""

    asset: str
    fr: str
    en: str
    euro: float


def reasons_of(plan: Plan, outlook: Outlook) -> tuple[Reason, ...]:
    """Purchase price against later, what one more kWh costs, sun used on site, recovered heat, limits that bind."""
    found = [*_supplies(plan, outlook), *_batteries(plan, outlook), *_sun(plan, outlook), *_recovery(plan, outlook)]
    found += _comfort(plan, outlook)
    return tuple(sorted(found, key=lambda r: -r.euro))


def _fr(number: float, digits: int = 3) -> str:
    return f"{number:.{digits}f}".replace(".", ",")


def _supplies(plan: Plan, outlook: Outlook) -> list[Reason]:
    reasons = []
    hours = plan.slots.hours
    for name, supply in outlook.of(Supply).items():
        tariff = outlook.tariffs[name]
        bought = plan.flow(name, "import_kw") * hours
        price = tariff.import_per_kwh
        if bought.sum() < 1 or price.max() - price.min() < 1e-6:
            continue
        paid, mean = float(bought @ price / bought.sum()), float(price.mean())
        if paid < mean - 0.001:
            saved = (mean - paid) * float(bought.sum())
            reasons.append(
                Reason(
                    name,
                    f"achète à {_fr(paid)} €/kWh en moyenne, quand le prix moyen est de {_fr(mean)}",
                    f"buys at {paid:.3f} EUR/kWh on average, when the mean price is {mean:.3f}",
                    round(saved, 2),
                )
            )
        marginal, limit = plan.marginal_per_kwh.get(name), f"{supply.subscribed_kw:g} kW"
        imports = plan.flow(name, "import_kw")
        if marginal is not None and imports.max() >= supply.subscribed_kw - 0.01:
            t = int(np.argmax(imports))
            reasons.append(
                Reason(
                    name,
                    f"les {limit} souscrits limitent ; un kWh de plus y coûte {_fr(float(marginal[t]))} €",
                    f"the subscribed {limit} bind; one more kWh there costs {marginal[t]:.3f} EUR",
                    round(float(np.max(marginal - price)) * float(imports.max()) * hours, 2),
                )
            )
    return reasons


def _batteries(plan: Plan, outlook: Outlook) -> list[Reason]:
    reasons = []
    for name, battery in outlook.of(Battery).items():
        price = outlook.tariffs[battery.supply].import_per_kwh
        charge = plan.flow(name, "charge_kw") * plan.slots.hours
        discharge = plan.flow(name, "discharge_kw") * plan.slots.hours
        if charge.sum() < 1 or discharge.sum() < 1:
            continue
        low, high = float(charge @ price / charge.sum()), float(discharge @ price / discharge.sum())
        gain = float(discharge.sum()) * (high - low / max(battery.one_way_efficiency, 0.01) ** 2 - battery.wear_per_kwh)
        if gain > 0:
            reasons.append(
                Reason(
                    name,
                    f"charge quand le kWh vaut {_fr(low)} €, rend quand il vaut {_fr(high)} € : pertes et usure payées",
                    f"charges when a kWh is worth {low:.3f} EUR, gives back at {high:.3f}: losses and wear are paid",
                    round(gain, 2),
                )
            )
    return reasons


def _sun(plan: Plan, outlook: Outlook) -> list[Reason]:
    """Sun that its own supply point uses: generation less export, slot by slot, at the price it spares."""
    reasons = []
    for name in outlook.of(Supply):
        arrays = [n for n, a in outlook.of(Photovoltaic).items() if a.supply == name]
        if not arrays:
            continue
        made = np.sum([plan.flow(n, "used_kw") for n in arrays], axis=0) * plan.slots.hours
        on_site = made - np.minimum(plan.flow(name, "export_kw") * plan.slots.hours, made)
        if made.sum() < 1:
            continue
        tariff = outlook.tariffs[name]
        spared = float(on_site @ (tariff.import_per_kwh - tariff.export_per_kwh))
        share = 100 * float(on_site.sum() / made.sum())
        reasons.append(
            Reason(
                name,
                f"{share:.0f} % du soleil consommé sur place, {on_site.sum():.0f} kWh",
                f"{share:.0f} % of the sun used on site, {on_site.sum():.0f} kWh",
                round(spared, 2),
            )
        )
    return reasons


def _recovery(plan: Plan, outlook: Outlook) -> list[Reason]:
    reasons = []
    for name, plant in outlook.of(Plant).items():
        shares = [plan.flow(name, f"{m}_running_share") for m in ("heating_and_cold", "hot_water_and_cold")]
        hours = float(np.sum(shares)) * plan.slots.hours
        if hours > 0.5:
            price = float(outlook.tariffs[plant.supply].import_per_kwh.mean())
            reasons.append(
                Reason(
                    name,
                    f"{hours:.1f} h de circuit font chaud et froid à la fois : la chaleur des bureaux sert ailleurs",
                    f"{hours:.1f} circuit hours make heat and cold at once: the offices' heat serves elsewhere",
                    round(hours * plant.cold_kw / 6 * price, 2),
                )
            )
    return reasons


def _comfort(plan: Plan, outlook: Outlook) -> list[Reason]:
    """Rooms that the plan lets down to the edge of their band: there the limit, not the price, decides."""
    reasons = []
    for key in plan.flows:
        name, _, quantity = key.rpartition("/")
        if quantity != "too_cold_k" or float(plan.flow(name, "heating_kw").sum()) <= 0:
            continue
        light = plan.state(name, "light_c")[1:]
        heating = plan.flow(name, "heating_kw")
        lowest = int(np.argmin(light))
        if heating[lowest] > 0:
            euro = float(heating.sum()) * plan.slots.hours * 0.01
            reasons.append(
                Reason(
                    name,
                    f"le bas de la bande ({_fr(float(light[lowest]), 1)} °C) décide du chauffage, pas le prix",
                    f"the bottom of the band ({light[lowest]:.1f} °C) decides on heating, not the price",
                    round(euro, 2),
                )
            )
    return reasons
