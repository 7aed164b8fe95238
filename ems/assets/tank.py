"""A collective hot-water tank: stratified, recirculated, hygienic.

Outlet at least 55 degC and return at least 50 degC always; what is flexible is the hot volume and 55-65 degC.
charge_kw > 0 is heat from the plant into the tank.

The planner counts hot energy: the heat above cold water of those layers that are hot enough to be drawn. A mixed tank
at 40 degC holds as much heat as a half-hot one and serves nobody; it counts as empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pyomo.environ as pyo
from pydantic import Field

from ems.assets import pasteurisation
from ems.assets.asset import Asset, Celsius, NotNegative, Positive, Share
from ems.assets.heat_pump import cop_heating
from ems.assets.loop import WATER_KWH_PER_M3_K, Loop, sea_c
from ems.assets.outlook import (
    CHANCE_IN_MARGIN,
    Cost,
    Outlook,
    Part,
    Planned,
    Port,
    Slack,
    both,
    index_fleet,
    price_words,
)
from ems.assets.tables import between, per_name, per_slot, upper
from ems.command import Setpoint
from ems.series import Floats

DRAWN_FROM_C, FULLY_FROM_C = 40.0, 50.0  # a layer below the first serves no tap, above the second it counts whole
FULL_SHARE = 0.95  # the layer around the heat exchanger's foot never gets hot
DESIGN_TOP_C, DESIGN_MIDDLE_C, DESIGN_BOTTOM_C = 60.0, 57.0, 45.0
WORKING_C = 60.0  # a plan fills a tank no hotter: every kelvin more costs a heat pump 1.4 % of its efficiency
SENSOR_HEIGHTS, LAYERS = (1 / 12, 1 / 2, 11 / 12), 24  # from the top, as a share of the height
LEAST_SETPOINT_ABOVE_K = 3.0  # the local control starts 2-3 K below the set point
PLANT_ABOVE_TANK_K = 3.0  # as warm as the plant of a tank leaves at least
HOTTER_K = 10.0  # than its maximum a tank may be measured, after a pasteurisation
WAITS_ABOVE_K = 3.0  # charging waits only while the outlet stands this far above its minimum
RETURN_WAITS_ABOVE_C = 50.5  # and the recirculation comes back this warm
HOT_WATER_COP = 2.8  # of order, for a tank whose plant is no heat pump that we know


class Tank(Asset):
    """The hot-water tank (or the row of tanks) of one building."""

    type: Literal["tank"] = "tank"
    plant: str
    supply: str  # of the electric heater and the pumps
    volume_m3: Positive
    charge_limit_kw: Positive
    recirculation_loss_kw: NotNegative
    standing_loss_kw: NotNegative
    heater_kw: NotNegative = 0.0
    minimum_c: Celsius = 55.0
    maximum_c: Celsius = 65.0
    cold_water_c: Celsius = 15.0
    daily_draw_m3: Positive  # at 60 degC equivalents, design mean
    minimum_hot_share: Share = 0.4  # of the volume, kept at minimum_c for the next draw (assumption)
    # On these ISO weekdays (none: never) all of it is heated through once between these local hours, for 2 min at 70
    # degC (arrete of 30 Nov 2005: or 4 min at 65, 60 min at 60).
    pasteurise_days: tuple[int, ...] = Field(default=(), strict=False)
    pasteurise_hours: tuple[float, float] = Field(default=(2.0, 5.0), strict=False)
    pasteurisation_c: Celsius = 70.0

    @property
    def kwh_per_k(self) -> float:
        return self.volume_m3 * WATER_KWH_PER_M3_K

    @property
    def working_c(self) -> float:
        """The hottest that a plan fills it with heat from the plant."""
        return min(self.maximum_c, WORKING_C)

    @property
    def empty_kwh(self) -> float:
        """Hot energy below which the outlet is no longer safe at 55 degC."""
        return self.kwh_per_k * self.minimum_hot_share * (self.minimum_c - self.cold_water_c)

    @property
    def full_kwh(self) -> float:
        return self.kwh_per_k * FULL_SHARE * (min(self.maximum_c, WORKING_C) - self.cold_water_c)

    @property
    def design_draw_kw(self) -> float:
        """Useful heat drawn, mean of the design day."""
        return self.daily_draw_m3 * WATER_KWH_PER_M3_K * (60.0 - self.cold_water_c) / 24


TYPES = (Tank,)


def next_energy_kwh(energy_kwh: Any, charge_kw: Any, heater_kw: Any, draw_kw: Any, loss_kw: float, hours: float) -> Any:
    """Hot energy at the end of a slot, kWh."""
    return energy_kwh + hours * (charge_kw + heater_kw - draw_kw - loss_kw)


def hot_energy_kwh(layers_c: Any, kwh_per_k: float, cold_water_c: float) -> float:
    """Hot energy of layers of equal volume, degC: those above 50 count whole, those below 40 not at all."""
    layers = np.asarray(layers_c, dtype=float)
    counts = np.clip((layers - DRAWN_FROM_C) / (FULLY_FROM_C - DRAWN_FROM_C), 0, 1)
    return float(kwh_per_k * np.mean(counts * np.maximum(layers - cold_water_c, 0)))


def profile_c(sensors_c: Any) -> Floats:
    """Temperatures of equal layers from the three sensors (top, middle, bottom): straight between them, degC.

    The upper and lower sensor sit in the middle of the upper and lower sixth.
    """
    heights = (np.arange(LAYERS) + 0.5) / LAYERS
    layers: Floats = np.interp(heights, SENSOR_HEIGHTS, np.asarray(sensors_c, dtype=float))
    return layers


def energy_now_kwh(tank: Tank, outlook: Outlook) -> float:
    """Hot energy now, by an observer, else from the three sensors, clipped into what the tank can hold."""
    seen = outlook.snapshot.states.get(tank.point("energy_kwh"))
    if seen is not None:
        return outlook.bounded(tank.point("hot_energy_kwh"), seen, 0.0, tank.full_kwh)
    quantities = ("top_temperature_c", "middle_temperature_c", "bottom_temperature_c")
    foreseen = outlook.foreseen.get(tank.point("energy_kwh"))
    unknown = [q for q in quantities if outlook.snapshot.value(tank.point(q)) is None]
    if unknown and foreseen is not None:
        outlook.note(f"{tank.name}: {', '.join(unknown)} not known: the previous plan's {foreseen:.4g} kWh stand in")
        return outlook.bounded(tank.point("hot_energy_kwh"), foreseen, 0.0, tank.full_kwh)  # plans are kept rounded
    sensors = [
        outlook.measured(tank.point("top_temperature_c"), DESIGN_TOP_C),
        outlook.measured(tank.point("middle_temperature_c"), DESIGN_MIDDLE_C),
        outlook.measured(tank.point("bottom_temperature_c"), DESIGN_BOTTOM_C),
    ]
    energy = hot_energy_kwh(profile_c(sensors), tank.kwh_per_k, tank.cold_water_c)
    hottest_kwh = tank.kwh_per_k * (tank.maximum_c + HOTTER_K - tank.cold_water_c)
    return min(outlook.bounded(tank.point("hot_energy_kwh"), energy, 0.0, hottest_kwh), tank.full_kwh)


def doubt_kwh(tank: Tank, outlook: Outlook) -> Floats:
    """By how much more than expected may have been drawn within the last hour, kWh at each boundary, once in ten times.

    Quarter-hours err independently (assumption): the root of the sum of squares of what lies between the forecast's
    median and its 90 % quantile. At most half of what the tank can hold above its minimum.
    """
    forecast, slots = outlook.forecasts.get(tank.point("draw_kw")), outlook.slots
    doubt = np.zeros(slots.count + 1)
    if forecast is not None:
        squares = np.cumsum(np.concatenate([[0.0], ((forecast.high - forecast.median) * slots.hours) ** 2]))
        hour = max(round(1 / slots.hours), 1)
        doubt = np.sqrt(squares - np.concatenate([np.zeros(hour), squares])[: squares.size])
    return np.minimum(doubt, 0.5 * max(tank.full_kwh - tank.empty_kwh, 0.0))


def price_of_heat_per_kwh(tank: Tank, outlook: Outlook) -> float:
    """What a kWh of hot water costs its plant at the mean price and sea of the horizon, euro."""
    plant = outlook.assets.get(tank.plant)
    loop, share = outlook.assets.get(str(getattr(plant, "loop", ""))), getattr(plant, "carnot_share", None)
    if plant is None or share is None or not isinstance(loop, Loop):
        return float(np.mean(outlook.tariffs[tank.supply].import_per_kwh)) / HOT_WATER_COP
    price = float(np.mean(outlook.tariffs[str(getattr(plant, "supply"))].import_per_kwh))  # noqa: B009
    leaving_c = float(getattr(plant, "hot_water_leaving_c"))  # noqa: B009
    return price / float(np.mean(cop_heating(leaving_c, sea_c(loop, outlook), float(share))))


def build(block: Any, fleet: Mapping[str, Tank], outlook: Outlook) -> Part:
    """Hot energy between empty and full; what a draw cannot get is named, and so is a tank below its safe minimum."""
    slots, worth = outlook.slots, outlook.worth
    index_fleet(block, fleet, slots)
    draws = {n: np.maximum(outlook.expected(a.point("draw_kw"), a.design_draw_kw), 0) for n, a in fleet.items()}
    # Losses too may go unmet when the tank is truly empty: cold water loses no heat.
    losses = {n: a.recirculation_loss_kw + a.standing_loss_kw for n, a in fleet.items()}
    charge = {
        n: np.where(outlook.held(a.point("charge_on")) == 0, 0.0, a.charge_limit_kw * outlook.in_service(n))
        for n, a in fleet.items()
    }
    heater = {n: a.heater_kw * outlook.in_service(n) for n, a in fleet.items()}
    full, zero, count = {n: a.full_kwh for n, a in fleet.items()}, dict.fromkeys(fleet, 0.0), slots.count
    block.draw_kw = pyo.Param(block.fleet, block.flows, initialize=per_slot(draws))
    block.loss_kw = pyo.Param(block.fleet, initialize=per_name(losses))
    block.empty_kwh = pyo.Param(block.fleet, initialize=per_name({n: a.empty_kwh for n, a in fleet.items()}))
    block.at_start_kwh = pyo.Param(
        block.fleet, initialize=per_name({n: energy_now_kwh(a, outlook) for n, a in fleet.items()})
    )
    block.charge_kw = pyo.Var(block.fleet, block.flows, bounds=between(zero, charge, count))
    block.heater_kw = pyo.Var(block.fleet, block.flows, bounds=between(zero, heater, count))
    block.energy_kwh = pyo.Var(block.fleet, block.stocks, bounds=between(zero, full, count + 1))
    through = pasteurisation.build(block, fleet, outlook)
    block.undrawn_kw = pyo.Var(block.fleet, block.flows, bounds=upper({n: draws[n] + losses[n] for n in fleet}))
    block.short_kwh = pyo.Var(block.fleet, block.stocks, bounds=(0, None))
    margins = {n: doubt_kwh(a, outlook) for n, a in fleet.items()}
    block.margin_kwh = pyo.Param(block.fleet, block.stocks, initialize=per_slot(margins))
    block.into_margin_kwh = pyo.Var(block.fleet, block.stocks, bounds=upper(margins))

    @block.Constraint(block.fleet)  # type: ignore[untyped-decorator]
    def starts_as_measured(b: Any, n: Any) -> Any:
        return b.energy_kwh[n, 0] == b.at_start_kwh[n]

    @block.Constraint(block.fleet, block.flows)  # type: ignore[untyped-decorator]
    def keeps_hot_energy(b: Any, n: Any, t: Any) -> Any:
        served = b.draw_kw[n, t] - b.undrawn_kw[n, t] - b.released_kw[n, t]
        return b.energy_kwh[n, t + 1] == next_energy_kwh(
            b.energy_kwh[n, t], b.charge_kw[n, t], b.heater_kw[n, t], served, b.loss_kw[n], slots.hours
        )

    @block.Constraint(block.fleet, block.stocks)  # type: ignore[untyped-decorator]
    def stays_safely_hot(b: Any, n: Any, t: Any) -> Any:
        lacking = b.short_kwh[n, t] + b.into_margin_kwh[n, t]
        return b.energy_kwh[n, t] + lacking >= b.empty_kwh[n] + b.margin_kwh[n, t]

    # A kWh missing for an hour costs hot_water_per_kwh. A draw refused costs more than being short for the whole
    # horizon, so that water is only refused by a tank that is really empty.
    short = worth.hot_water_per_kwh * slots.hours
    refused = 1.5 * worth.hot_water_per_kwh * (slots.count * slots.hours + 1) * slots.hours
    at_end = np.zeros((len(fleet), slots.count + 1))
    for i, (_, tank) in enumerate(fleet.items()):
        at_end[i, -1] = -price_of_heat_per_kwh(tank, outlook)
    return Part(
        ports=(
            Port("hot_water", block.charge_kw, {n: a.plant for n, a in fleet.items()}),
            Port("electricity", block.heater_kw, {n: a.supply for n, a in fleet.items()}),
            *through.ports,
        ),
        costs=(
            *through.costs,
            Cost("hot_water", block.short_kwh, short),
            Cost("hot_water", block.undrawn_kw, refused),
            Cost("margins", block.into_margin_kwh, CHANCE_IN_MARGIN * short),
            Cost("stores", block.energy_kwh, at_end),
        ),
        slacks=(
            *through.slacks,
            Slack(
                block.undrawn_kw,
                "eau chaude non servie",
                "hot water not served",
                "kWh",
                slots.hours,
                "plus de puissance de charge ou d'appoint",
                "more charging power or a larger heater",
            ),
            Slack(
                block.short_kwh,
                "ballon sous son minimum sûr",
                "tank below its safe minimum",
                "kWh·h",
                slots.hours,
                "charger plus tôt, vérifier la centrale",
                "charge earlier, check the plant",
            ),
        ),
        holds=(block.charge_kw,),
    )


def setpoint_c(tank: Tank, energy_kwh: float) -> float:
    """Tank set point at which it comes to hold a hot energy, degC: from minimum + 3 K to WORKING_C as it fills."""
    span = tank.full_kwh - tank.empty_kwh
    fill = 1.0 if span <= 0 else min(max((energy_kwh - tank.empty_kwh) / span, 0.0), 1.0)
    high = min(tank.maximum_c, WORKING_C)
    low = min(tank.minimum_c + LEAST_SETPOINT_ABOVE_K, high)
    return low + fill * (high - low)


def running_setpoint_c(planned: Planned, name: str, tank: Tank, outlook: Outlook) -> float:
    """The set point for the running slot: what the plan reaches within the next hour.

    A tank out of service keeps what stands; one whose plant is, asks for no more than that plant's water can give.
    """
    stands_c = None if outlook.in_service(name) else outlook.snapshot.value(tank.point("setpoint_c"))
    if stands_c is not None:
        return stands_c
    leaving_c = outlook.snapshot.value(f"{tank.plant}/hot_water_leaving_setpoint_c")
    ahead = planned.state(name, "energy_kwh")[1:5]
    wanted_c = setpoint_c(tank, float(np.max(ahead)))
    if leaving_c is not None and not outlook.in_service(tank.plant):
        wanted_c = max(min(wanted_c, leaving_c - PLANT_ABOVE_TANK_K), tank.minimum_c)
    return round(wanted_c, 1)


def may_wait(tank: Tank, outlook: Outlook) -> bool:
    """Whether the tank is measured to be surely hot. What is not known is not surely hot."""
    outlet_c = outlook.snapshot.value(tank.point("top_temperature_c"))
    middle_c = outlook.snapshot.value(tank.point("middle_temperature_c"))
    return_c = outlook.snapshot.value(tank.point("return_temperature_c"))
    if outlet_c is None or middle_c is None or return_c is None:
        return False
    # A strong morning draw takes a fifth of the tank in a quarter-hour: half of it hot is the least to wait with.
    hot = outlet_c >= tank.minimum_c + WAITS_ABOVE_K and middle_c >= tank.minimum_c
    return hot and return_c >= RETURN_WAITS_ABOVE_C


def may_charge(planned: Planned, name: str, tank: Tank, outlook: Outlook) -> bool:
    """Whether the tank takes heat now: the plan says so, or it is so near its minimum that it must be free to."""
    if not may_wait(tank, outlook):
        return True
    energy = planned.state(name, "energy_kwh")
    near_empty = float(energy[:2].min()) < tank.empty_kwh + 0.15 * (tank.full_kwh - tank.empty_kwh)
    return near_empty or float(planned.flow(name, "charge_kw")[0]) > 0.02 * tank.charge_limit_kw


def actuate(planned: Planned, fleet: Mapping[str, Tank], outlook: Outlook) -> list[Setpoint]:
    """Set point, charge release and pasteurisation. The recirculation pump is never ours."""
    setpoints = []
    for name, tank in fleet.items():
        fr, en = price_words(outlook.tariffs.get(tank.supply))
        charging, setpoint = may_charge(planned, name, tank, outlook), running_setpoint_c(planned, name, tank, outlook)
        planned_kw = float(planned.flow(name, "charge_kw")[0])
        if not outlook.in_service(name):
            charging, why = False, both("hors service", "out of service")
        elif charging and planned_kw > 0.02 * tank.charge_limit_kw:
            why = both(f"charge {planned_kw:.0f} kW {fr}", f"charges {planned_kw:.0f} kW {en}")
        elif charging:
            why = both("près de son minimum : libre de charger", "near its minimum: free to charge")
        else:
            why = both(f"attend : assez chaud, courant {fr}", f"waits: hot enough, power {en}")
        setpoints += [
            Setpoint(tank.point("setpoint_c"), setpoint, why),
            Setpoint(tank.point("charge_on"), float(charging), why),
            _of_pasteurisation(planned, name, tank),
        ]
    return setpoints


def _of_pasteurisation(planned: Planned, name: str, tank: Tank) -> Setpoint:
    """On while the plan heats through."""
    point = tank.point("pasteurisation_on")
    if float(planned.flow(name, "treating_kw")[0]) > 0.5 * tank.heater_kw > 0:
        words = (
            f"chauffe tout le ballon à {tank.pasteurisation_c:.0f} °C avec l'appoint",
            f"heats all of the tank to {tank.pasteurisation_c:.0f} °C with its heater",
        )
        return Setpoint(point, 1.0, both(*words))
    if tank.pasteurise_days:
        return Setpoint(point, 0.0, both("pas de choc thermique à cette heure", "no thermal shock at this hour"))
    words = (
        "sortie toujours à 55 °C ou plus : pas de choc thermique",
        "outlet always at 55 °C or more: no thermal shock",
    )
    return Setpoint(point, 0.0, both(*words))
