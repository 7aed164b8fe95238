"""Figures of a run: KPIs under BOPTEST's names where it has one, and the score J by named term. See docs/kpi.md.

All of it comes from the plant's truth, so that a controller cannot improve a figure by misreading a sensor.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ems.assets import BaseLoad, Battery, ChargePoint, Feeder, Loop, Photovoltaic, Plant, Substation, Supply, Tank
from ems.assets.supply import HOURS_A_YEAR, PAID_SHARE
from ems.district import District
from ems.market import Prices, prices
from ems.series import Floats
from ems.slots import Slots
from ems.study.record import Record, Stock
from ems.study.use import use

START_WEAR_EUR = 0.5  # per compressor start (assumption: 40 000 euro over 80 000 starts)
HOT_WATER_COP, HEATING_COP, COOLING_COP = 2.8, 4.5, 5.0  # of order, to price what is left in stores
KEPT_SHARE = 0.5  # of surplus heat in rooms: the other half is gone before it is needed
NEUTRAL_C = 17.0  # daily mean below which rooms are heated
HOME_M2 = 65.0  # the dwelling-equivalent that comfort is priced by

CHANGES = "setpoint_changes_per_day/"  # by kind of asset, where any was changed
TERMS = ("energy", "network", "peak", "wear", "carbon", "comfort", "hot_water", "charging", "stores")


@dataclass(frozen=True)
class Figures:
    """`cost` by term in euro (J is their sum), `kpi` by name, `homes` per dwelling for "no worse for anybody"."""

    cost: dict[str, float]
    uncontrollable: dict[str, float]
    kpi: dict[str, float]
    homes: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def score(self) -> float:
        """J, euro over the run: lower is better."""
        return sum(self.cost.values())


def figures(district: District, record: Record) -> Figures:
    """All figures of one run."""
    tariff = {n: prices(district.contracts[s.contract], record.slots) for n, s in district.of(Supply).items()}
    cost = _bill(district, record, tariff)
    kept = uncontrollable(district, record, tariff)
    for term in ("energy", "network", "carbon"):
        cost[term] -= kept[term]
    cost |= _wear(district, record) | _wishes(district, record)
    cost["stores"] = -value_of_stores(district, record.start, record.end, record, tariff)
    return Figures(
        cost={term: cost[term] for term in TERMS},
        uncontrollable=kept,
        kpi=_kpis(district, record, cost, kept, tariff),
        homes=_homes(record),
    )


def _bill(district: District, record: Record, tariff: dict[str, Prices]) -> dict[str, float]:
    """What the supply points of landlords and tenants are billed."""
    bill = dict.fromkeys(("energy", "network", "peak", "carbon"), 0.0)
    share_of_year = record.slots.count * record.slots.hours / HOURS_A_YEAR
    for k, name in enumerate(record.supplies):
        supply, known = district.asset(name, Supply), tariff[name]
        contract = district.contracts[supply.contract]
        bought, sold = record.import_kwh[:, k], record.export_kwh[:, k]
        bill["energy"] += float(bought @ known.energy_per_kwh - sold @ known.export_per_kwh)
        bill["network"] += float(bought @ known.network_per_kwh)
        bill["carbon"] += float(bought @ known.carbon_kg_per_kwh) * district.values.carbon_per_kg
        power = bought / record.slots.hours
        paid = max(float(power.max(initial=0.0)), PAID_SHARE * supply.subscribed_kw)
        above = np.maximum(power - supply.subscribed_kw, 0).sum() * record.slots.hours
        bill["peak"] += contract.subscription_per_kw_year * paid * share_of_year
        bill["peak"] += contract.exceedance_per_kwh * float(above)
    return bill


def uncontrollable(district: District, record: Record, tariff: dict[str, Prices]) -> dict[str, float]:
    """What loads that nobody steers would cost at their supply point's price; the same under every controller."""
    kept = dict.fromkeys(("energy", "network", "carbon"), 0.0)
    for name, load in district.of(BaseLoad).items():
        used, known = record.device_kwh[:, record.devices.index(name)], tariff[load.supply]
        kept["energy"] += float(used @ known.energy_per_kwh)
        kept["network"] += float(used @ known.network_per_kwh)
        kept["carbon"] += float(used @ known.carbon_kg_per_kwh) * district.values.carbon_per_kg
    return kept


def _wear(district: District, record: Record) -> dict[str, float]:
    wear = START_WEAR_EUR * float(record.totals["starts"].sum())
    for name, battery in district.of(Battery).items():
        given = np.maximum(-record.device_kwh[:, record.devices.index(name)], 0).sum()
        wear += battery.wear_per_kwh * float(given)
    return {"wear": wear}


def _wishes(district: District, record: Record) -> dict[str, float]:
    """Comfort and service that were missed, at the prices of `district.yaml`."""
    worth = district.values
    surface = np.array([_surface_m2(district, n) for n in record.zones]) / HOME_M2
    cooled = np.array([_is_cooled(district, n) for n in record.zones])
    comfort = worth.too_cold_per_k_h * float(record.too_cold_k_h @ surface)
    comfort += worth.too_hot_per_k_h * float((record.too_hot_k_h * cooled) @ surface)
    return {
        "comfort": comfort,
        "hot_water": worth.hot_water_per_kwh * float(record.totals["unmet"].sum()),
        "charging": worth.charging_per_kwh * float(record.totals["missing"].sum()),
    }


def _surface_m2(district: District, name: str) -> float:
    return float(getattr(district.assets[name], "surface_m2"))  # noqa: B009


def _is_cooled(district: District, name: str) -> bool:
    return getattr(district.assets[name], "cooling_occupied_c", None) is not None


def value_of_stores(district: District, start: Stock, end: Stock, record: Record, tariff: dict[str, Prices]) -> float:
    """What the stores hold more at the end than at the start, euro.

    Cautious on both sides: a surplus is worth the cheapest price of the last day, a shortage costs the dearest, so that
    neither emptying a store at the end nor filling it earns anything.
    """
    last = slice(max(record.slots.count - 96, 0), None)

    def worth(change_kwh: float, supply: str, per_kwh: float, kept: float = 1.0) -> float:
        known = tariff[supply].import_per_kwh[last]
        price = float(known.min()) * kept if change_kwh > 0 else float(known.max())
        return change_kwh * per_kwh * price

    value = 0.0
    for name, battery in district.of(Battery).items():
        change = end.battery[name] - start.battery[name]
        efficiency = battery.one_way_efficiency
        value += worth(change, battery.supply, efficiency if change > 0 else 1 / efficiency)
    feeders = district.of(Feeder)
    for name, point in district.of(ChargePoint).items():
        value += worth(end.cars[name] - start.cars[name], feeders[point.feeder].supply, 1.0)
    for name, tank in district.of(Tank).items():
        supply = district.asset(tank.plant, Plant).supply
        value += worth(end.tank[name] - start.tank[name], supply, 1 / HOT_WATER_COP)
    for name, plant in district.of(Plant).items():
        value += worth(end.plant_hot[name] - start.plant_hot[name], plant.supply, 1 / HEATING_COP, KEPT_SHARE)
    heats = float(record.outdoor_c[last].mean()) < NEUTRAL_C
    for name in record.zones:
        change = end.zone[name] - start.zone[name]
        station = district.asset(str(getattr(district.assets[name], "substation")), Substation)  # noqa: B009
        supply = district.asset(station.plant, Plant).supply
        if heats:
            value += worth(change, supply, 1 / HEATING_COP, KEPT_SHARE)
        elif _is_cooled(district, name):  # warmer rooms will have to be cooled
            value += worth(-change, supply, 1 / COOLING_COP, KEPT_SHARE)
    return value


def _kpis(
    district: District, record: Record, cost: dict[str, float], kept: dict[str, float], tariff: dict[str, Prices]
) -> dict[str, float]:
    slots, totals = record.slots, record.totals
    days = slots.count * slots.hours / 24
    surface = np.array([_surface_m2(district, n) for n in record.zones])
    heated_m2 = float(surface.sum())
    homes = slice(0, record.homes)
    bought, sold = float(record.import_kwh.sum()), float(record.export_kwh.sum())
    device = {n: record.device_kwh[:, k] for k, n in enumerate(record.devices)}
    sun = sum((np.maximum(-device[n], 0) for n in district.of(Photovoltaic)), np.zeros(slots.count))
    pumps = float(totals["plant_pumps"].sum()) + sum(
        float(device[n].sum()) for n in (*district.of(Substation), *district.of(Loop))
    )
    tanks_kwh = sum(float(device[n].sum()) for n in district.of(Tank))
    plants = float(totals["compressor"].sum() + totals["plant_pumps"].sum())
    useful = float(record.heat_kwh.sum() + record.draw_kwh.sum() + record.cold_kwh.sum())
    made = float(totals["made_heating"].sum() + totals["made_hot_water"].sum() + totals["made_cold"].sum())
    electric = float(totals["compressor"].sum()) + pumps + tanks_kwh
    into, out = np.maximum(record.loop_into_plants_kwh, 0), np.maximum(-record.loop_into_plants_kwh, 0)
    consumed = bought + float(sun.sum()) - sold
    peaks = {n: float(record.import_kwh[:, k].max() / slots.hours) for k, n in enumerate(record.supplies)}
    subscribed = {n: district.asset(n, Supply).subscribed_kw for n in record.supplies}
    whole_peak = float(record.import_kwh.sum(axis=1).max() / slots.hours)
    cold, hot = record.too_cold_k_h, record.too_hot_k_h
    cooled = np.array([_is_cooled(district, n) for n in record.zones])
    bill = sum(cost[t] + kept.get(t, 0.0) for t in ("energy", "network", "peak"))
    carbon_kg = sum(float(record.import_kwh[:, k] @ tariff[n].carbon_kg_per_kwh) for k, n in enumerate(record.supplies))
    needed = float(totals["cars"].sum() + totals["missing"].sum())
    found = {
        "ener_tot": bought / heated_m2,
        "cost_tot": bill / heated_m2,
        "emis_tot": carbon_kg / heated_m2,
        "pele_tot": whole_peak / heated_m2,
        "tdis_tot": float((cold + hot * cooled).sum() / len(record.zones)),
        "tdis_cold": float(cold.mean()),
        "tdis_cold_homes_p95": float(np.percentile(cold[homes], 95)) if record.homes else 0.0,
        "tdis_cold_homes_worst": float(cold[homes].max(initial=0.0)),
        "tdis_hot": float((hot * cooled).sum() / max(cooled.sum(), 1)),
        "tdis_hot_worst": float((hot * cooled).max(initial=0.0)),
        "overheating_homes": float(hot[homes].mean()) if record.homes else 0.0,
        "import_kwh": bought,
        "export_kwh": sold,
        "homes_kwh": float(record.home_kwh.sum()),
        "sun_kwh": float(sun.sum()),
        "sun_used_on_site_kwh": float(sun.sum()) - sold,
        "self_consumption": _share(float(sun.sum()) - sold, float(sun.sum())),
        "self_production": _share(float(sun.sum()) - sold, consumed),
        "curtailed_kwh": float(totals["curtailed"].sum()),
        "heat_kwh": float(record.heat_kwh.sum()),
        "hot_water_kwh": float(record.draw_kwh.sum()),
        "cold_kwh": float(record.cold_kwh.sum()),
        "plant_performance": _share(made, plants),
        "system_performance": _share(useful, electric),
        "recovered_in_plants_kwh": float(record.recovered_kwh.sum()),
        "recovered_through_loop_kwh": float(np.minimum(into.sum(axis=1), out.sum(axis=1)).sum()),
        "pump_share": _share(pumps, electric),
        "heater_kwh": float(totals["heater"].sum()),
        "peak_kw": whole_peak,
        "peak_over_subscribed": max((peaks[n] / subscribed[n] for n in peaks), default=0.0),
        "starts_per_day": float(totals["starts"].sum()) / days,
        "cool_outlet_minutes": float(totals["cool_minutes"].sum()),
        "cool_return_minutes": float(totals["return_cool_minutes"].sum()),
        "hot_water_unmet_kwh": float(totals["unmet"].sum()),
        "charged_kwh": float(totals["cars"].sum()),
        "charging_missing_kwh": float(totals["missing"].sum()),
        "charging_ready": 1.0 - _share(float(totals["missing"].sum()), needed),
        "cars_not_ready": float(record.not_ready),
        "local_control_share": record.slots_alone / slots.count,
        "overrides_per_day": record.turns / days,
        "setpoint_changes_per_day": record.setpoints_written / days,
        "battery_throughput_kwh": sum(float(np.maximum(-device[n], 0).sum()) for n in district.of(Battery)),
    }
    found |= use(district, record)
    found |= {f"{CHANGES}{kind}": n / days for kind, n in record.setpoint_changes.items()}
    found |= {f"peak_kw/{n}": kw for n, kw in peaks.items()}
    return found


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 1e-9 else 0.0


def _homes(record: Record) -> dict[str, dict[str, float]]:
    return {
        n: {"too_cold_k_h": float(record.too_cold_k_h[k]), "too_hot_k_h": float(record.too_hot_k_h[k])}
        for k, n in enumerate(record.zones)
    }


def slot_prices(district: District, supply: str, slots: Slots) -> Floats:
    """What an imported kWh costs at a supply point, euro, per slot."""
    return prices(district.contracts[district.asset(supply, Supply).contract], slots).import_per_kwh
