"""What was read, in a few lines for a person: the answer of `ems check` when nothing is wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date

from ems.assets import (
    Battery,
    BikeRoom,
    ChargePoint,
    Photovoltaic,
    Plant,
    Substation,
    Supply,
    Tank,
    Zone,
)
from ems.district.model import District
from ems.district.refusal import Refusal


@dataclass(frozen=True)
class Fact:
    """One line: what, how many, and what else is worth knowing of it."""

    what: str
    count: int
    detail: str = ""


def describe(district: District) -> list[Fact]:
    """What a district holds, counted; what nothing measures is named."""
    homes, zones = district.dwellings.values(), district.of(Zone).values()
    plants, cars = district.of(Plant).values(), district.of(ChargePoint).values()
    batteries, sun = district.of(Battery).values(), district.of(Photovoltaic).values()
    tanks, bikes = district.of(Tank).values(), district.of(BikeRoom).values()
    uses = Counter(building.use for building in district.buildings.values())
    protocols = Counter(bus.protocol for bus in district.buses.values())
    units = sum(1 for device in district.devices if device.bus.protocol == "modbus")
    verified = sum(1 for kind in district.device_types.values() if kind.verified)
    held = Counter(wire.authority for wire in district.wires.values() if wire.writable)
    metered = {wire.device.asset for wire in district.wires.values()}
    dumb = [name for name in district.assets if name not in metered]
    deaf = f"{sum(1 for home in homes if not home.thermostat)} without a readable thermostat"
    heat_kw, cold_kw = sum(p.heat_kw * p.circuits for p in plants), sum(p.cold_kw * p.circuits for p in plants)
    stations = f"{protocols['bacnet']} BACnet stations, {protocols['modbus']} Modbus gateways"
    return [
        Fact("buildings", len(district.buildings), ", ".join(f"{n} {use}" for use, n in sorted(uses.items()))),
        Fact("dwellings", len(homes), f"{sum(h.surface_m2 for h in homes):.0f} m², {deaf}"),
        Fact("other zones", len(zones), f"{sum(z.surface_m2 for z in zones):.0f} m²"),
        Fact("plant rooms", len(plants), f"{heat_kw:.0f} kW heat, {cold_kw:.0f} kW cold"),
        Fact("substations", len(district.of(Substation))),
        Fact("hot-water tanks", len(tanks), f"{sum(t.volume_m3 for t in tanks):.1f} m³"),
        Fact("supply points", len(district.of(Supply)), "and one per dwelling"),
        Fact("contracts", len(district.contracts), ", ".join(district.contracts)),
        Fact("PV arrays", len(sun), f"{sum(a.peak_kw for a in sun):.0f} kW peak"),
        Fact("batteries", len(batteries), f"{sum(b.capacity_kwh for b in batteries):.0f} kWh"),
        Fact("charge points", len(cars), f"{sum(1 for c in cars if c.shared_car_kwh)} with a shared car"),
        Fact("bicycle rooms", len(bikes), f"{sum(b.places for b in bikes)} places"),
        Fact("buses", len(district.buses), stations),
        Fact("Modbus units", units),
        Fact("device types", len(district.device_types), f"{verified} verified on a real device"),
        Fact("points", len(district.wires), "without any: " + (_few(dumb) or "no asset")),
        Fact("set points", sum(held.values()), ", ".join(f"{held[a]} {a}" for a in ("ours", "shared", "observe"))),
    ]


def out_of_date(district: District, on: date) -> list[Refusal]:
    """Contracts that supply points use although they do not hold on a day."""
    late = []
    for name in sorted({supply.contract for supply in district.of(Supply).values()}):
        contract = district.contracts[name]
        key = "valid_from" if on < contract.valid_from else "valid_until"
        if not contract.valid_from <= on <= contract.valid_until:
            problem = f"is {getattr(contract, key)}, so it does not hold on {on}; add the contract that does"
            late.append(Refusal(f"contracts/{name}.yaml", key, problem))
    return late


def _few(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
