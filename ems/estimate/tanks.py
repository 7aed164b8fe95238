"""How much hot water a tank really holds: three sensors see three layers, and what flows in and out is known as well.

An observer of one state: hot energy steps by what is charged, drawn and lost; what the three sensors make of it
corrects it. Between two sensors nobody sees, the balance does; where the balance drifts, the sensors do not.
"""

from __future__ import annotations

import numpy as np

from ems.assets import Tank
from ems.assets.tank import hot_energy_kwh, next_energy_kwh, profile_c
from ems.district import District
from ems.series import Floats, History

SEEN_SLOTS = 48  # half a day
SENSORS_SHARE = 0.12  # of a full tank: how far three sensors may be from all of its layers
BALANCE_SHARE = 0.04  # of a full tank, in a quarter-hour: draws are a mean, and nobody meters them
SENSORS = ("top_temperature_c", "middle_temperature_c", "bottom_temperature_c")


def hot_energies_kwh(district: District, history: History) -> dict[str, float]:
    """`tank/energy_kwh` at the end of the history, clipped into what a tank can hold; only where a sensor was read."""
    found: dict[str, float] = {}
    for name, tank in district.of(Tank).items():
        sensors = np.array([_recent(history, f"{name}/{q}") for q in SENSORS])
        seen = [
            hot_energy_kwh(profile_c(column), tank.kwh_per_k, tank.cold_water_c)
            if np.isfinite(column).all()
            else float("nan")
            for column in sensors.T
        ]
        if not np.isfinite(seen).any():
            continue
        charge = _recent(history, f"{name}/charge_power_kw")
        # What went in unseen is taken to make up for what went out unseen: only the sensors tell then.
        charge = np.where(np.isfinite(charge), charge, tank.design_draw_kw + loss_kw(tank))
        heater = np.nan_to_num(_recent(history, f"{name}/heater_on")) * tank.heater_kw
        found[f"{name}/energy_kwh"] = observed_kwh(tank, np.array(seen), charge, heater, history.slots.hours)
    return found


def observed_kwh(tank: Tank, seen_kwh: Floats, charge_kw: Floats, heater_kw: Floats, hours: float) -> float:
    """Hot energy after the last slot, kWh: a Kalman filter of one state; `seen_kwh` is NaN where nothing was read."""
    sensors, balance = ((share * tank.full_kwh) ** 2 for share in (SENSORS_SHARE, BALANCE_SHARE))
    energy, spread = float(seen_kwh[np.isfinite(seen_kwh)][0]), sensors
    for seen, charge, heater in zip(seen_kwh, charge_kw, heater_kw, strict=True):
        stepped = next_energy_kwh(energy, float(charge), float(heater), tank.design_draw_kw, loss_kw(tank), hours)
        energy, spread = min(max(stepped, 0.0), tank.full_kwh), spread + balance
        if np.isfinite(seen):
            gain = spread / (spread + sensors)
            energy, spread = energy + gain * (float(seen) - energy), (1 - gain) * spread
    return min(max(energy, 0.0), tank.full_kwh)


def loss_kw(tank: Tank) -> float:
    """What a hot tank loses, kW."""
    return tank.recirculation_loss_kw + tank.standing_loss_kw


def _recent(history: History, point: str) -> Floats:
    row = history.values.get(point)
    count = min(history.slots.count, SEEN_SLOTS)
    return np.full(count, np.nan) if row is None else row[-count:]
