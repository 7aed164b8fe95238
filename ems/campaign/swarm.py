"""A swarm of small districts: 3 to 40 points, each drawn from a seed, with device types of its own."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import yaml

from ems.district import District, read_district

METER = """
power_kw: {function: 4, address: 0, type: float32, unit: kW, minimum: -500, maximum: 500, frozen_after_h: 3}
energy_kwh: {function: 4, address: 2, type: float64, unit: kWh, minimum: 0, jump_per_min: 20}
"""
TYPES: dict[str, dict[str, Any]] = {
    "meter": {"protocol": "modbus", "registers": yaml.safe_load(METER)},
    "charger": {
        "protocol": "modbus",
        "registers": {
            "power_kw": {"address": 0, "type": "float32", "unit": "kW", "minimum": 0, "maximum": 30},
            "state_mode": {"address": 2, "type": "uint16", "unit": "state", "minimum": 0, "maximum": 3},
            "current_limit_a": {
                "address": 10, "type": "uint16", "unit": "A", "authority": "ours",
                "write": {"minimum": 0, "maximum": 32, "release": 10},
            },
        },
        "watchdog": {"kind": "rewrite", "timeout_s": 900},
    },
    "battery-inverter": {
        "protocol": "modbus",
        "registers": {
            "power_kw": {"address": 0, "type": "float32", "unit": "kW", "minimum": -100, "maximum": 100},
            "stored_kwh": {"address": 2, "type": "float32", "unit": "kWh", "minimum": 0, "maximum": 60, "falls": True},
            "power_setpoint_kw": {
                "address": 10, "type": "float32", "unit": "kW", "authority": "ours",
                "write": {"minimum": -25, "maximum": 25, "release": 0},
            },
        },
        "watchdog": {"kind": "rewrite", "timeout_s": 900},
    },
    "curve-controller": {
        "protocol": "bacnet",
        "objects": {
            "supply_temperature_c": {"object": "analog-input", "instance": 0, "unit": "degC", "minimum": -10,
                                     "maximum": 110, "frozen_after_h": 3},
            "heating_curve_offset_k": {
                "object": "analog-output", "instance": 1, "unit": "K", "authority": "ours",
                "write": {"minimum": -5, "maximum": 5, "release": 0, "ramp_per_slot": 3},
            },
            "heartbeat_count": {
                "object": "analog-value", "instance": 2, "unit": "count", "authority": "ours",
                "write": {"minimum": 0, "maximum": 65535, "release": 0},
            },
        },
        "watchdog": {"kind": "counter", "quantity": "heartbeat_count", "timeout_s": 900, "covers": "station"},
    },
    "tank-controller": {
        "protocol": "bacnet",
        "objects": {
            **{
                f"{where}_temperature_c": {"object": "analog-input", "instance": i, "unit": "degC", "minimum": 0,
                                           "maximum": 100}
                for i, where in enumerate(("top", "middle", "return"))
            },
            "setpoint_c": {
                "object": "analog-output", "instance": 10, "unit": "degC", "authority": "ours",
                "write": {"minimum": 55, "maximum": 65, "release": 60, "ramp_per_slot": 10},
            },
            "charge_on": {
                "object": "binary-output", "instance": 11, "unit": "state", "authority": "ours",
                "write": {"minimum": 0, "maximum": 1, "release": 1},
            },
        },
        "watchdog": {"kind": "station"},
    },
    "room-controller": {
        "protocol": "bacnet",
        "objects": {
            "temperature_c": {"object": "analog-input", "instance": 0, "unit": "degC", "minimum": -10, "maximum": 50,
                              "frozen_after_h": 3},
            "setpoint_c": {"object": "analog-input", "instance": 1, "unit": "degC", "minimum": 5, "maximum": 35},
            "setpoint_offset_k": {
                "object": "analog-output", "instance": 2, "unit": "K", "authority": "ours",
                "write": {"minimum": -1, "maximum": 1, "release": 0},
            },
        },
        "watchdog": {"kind": "station"},
    },
}  # fmt: skip
FABRIC = {
    "loss_w_per_k_m2": 0.8, "light_wh_per_k_m2": 14, "mass_wh_per_k_m2": 55, "coupling_w_per_k_m2": 6,
    "solar_aperture_share": 0.03, "gains_w_per_m2": 4, "heating_w_per_m2": 40,
}  # fmt: skip
DISTRICT = {
    "name": "swarm",
    "label": {"fr": "Essaim", "en": "Swarm"},
    "place": {"latitude_deg": 43.3, "longitude_deg": 5.4, "altitude_m": 10},
    "comfort": {"home": {"floor_c": 18, "default_c": 19, "ceiling_c": 21}},
    "values": {
        "too_cold_per_k_h": 2, "too_hot_per_k_h": 1, "hot_water_per_kwh": 3, "charging_per_kwh": 1.5,
        "unserved_per_kwh": 20, "carbon_per_kg": 0.1, "leaving_plan_per_kwh": 0.002,
    },
}  # fmt: skip
CONTRACT = {
    "kind": "landlord", "note": "of the swarm", "valid_from": "2020-01-01", "valid_until": "2040-12-31",
    "periods": {
        "off-peak": {"windows": [{"from_hour": 22, "until_hour": 6}], "energy_per_kwh": 0.10, "network_per_kwh": 0.02},
        "peak": {"energy_per_kwh": 0.15, "network_per_kwh": 0.05},
    },
    "subscription_per_kw_year": 18, "exceedance_per_kwh": 1, "export_per_kwh": 0.05, "carbon_kg_per_kwh": 0.05,
}  # fmt: skip
CELLAR = {
    "label": {"fr": "La cave", "en": "The cellar"},
    "use": "plant",
    "assets": {
        "supply": {"type": "supply", "prm": "10000000000020", "contract": "landlord", "subscribed_kw": 60,
                   "physical_limit_kw": 80},
        "loop": {"type": "loop", "supply": "supply", "volume_m3": 10, "heat_limit_kw": 100, "cold_limit_kw": 100,
                 "exchanger_kw_per_k": 40, "pump_kw": 2},
        "heat-pumps": {"type": "plant", "supply": "supply", "loop": "loop", "circuits": 2, "heat_kw": 40,
                       "cold_kw": 30},
    },
}  # fmt: skip


def small_district(seed: int, folder: Path) -> District:
    """The district of a seed, read from files that are written into `folder` like anybody else's."""
    chance = random.Random(seed)
    (folder / "devices").mkdir(parents=True)
    (folder / "contracts").mkdir()
    for name, content in TYPES.items():
        head = {"maker": "generic", "model": name, "source": "assumption", "verified": False}
        _write(folder / "devices" / f"{name}.yaml", head | content)
    _write(folder / "contracts" / "landlord.yaml", CONTRACT)
    _write(folder / "district.yaml", DISTRICT)
    _write(folder / "cellar.yaml", CELLAR)
    _write(folder / "court.yaml", _court(chance))
    return read_district(folder)


def _court(chance: random.Random) -> dict[str, Any]:
    homes = chance.choice((1, 1, 2, 3, 4))
    parts = {name for name in ("tank", "battery", "charger", "curve", "rooms", "meters") if chance.random() < 0.6}
    if not parts & {"tank", "battery", "charger", "curve", "rooms"}:
        parts.add("curve")  # something to command
    assets: dict[str, Any] = {
        "landlord": {"type": "supply", "prm": "10000000000010", "contract": "landlord", "subscribed_kw": 60,
                     "physical_limit_kw": 80},
        "substation": {"type": "substation", "plant": "cellar/heat-pumps", "supply": "landlord", "heat_limit_kw": 30,
                       "cold_limit_kw": 20},
    }  # fmt: skip
    assets["services"] = {"type": "base-load", "supply": "landlord", "use": "landlord", "yearly_kwh": 20_000}
    stations: list[dict[str, Any]] = [{"type": "curve-controller", "asset": "substation", "offset": 0}]
    units: list[dict[str, Any]] = [
        {"type": "meter", "asset": "landlord", "unit": 1},
        {"type": "meter", "asset": "services", "unit": 2},
    ]
    if "tank" in parts:
        assets["tank"] = {"type": "tank", "plant": "cellar/heat-pumps", "supply": "landlord", "volume_m3": 1,
                          "charge_limit_kw": 20, "recirculation_loss_kw": 1, "standing_loss_kw": 0.1,
                          "daily_draw_m3": 0.3}  # fmt: skip
        stations.append({"type": "tank-controller", "asset": "tank", "offset": 100})
    if "rooms" in parts:
        stations.append({"type": "room-controller", "each": "dwelling", "offset": 200})
    if "battery" in parts:
        assets["battery"] = {"type": "battery", "supply": "landlord", "capacity_kwh": 50, "charge_limit_kw": 25,
                             "discharge_limit_kw": 25}  # fmt: skip
        units.append({"type": "battery-inverter", "asset": "battery", "unit": 40})
    if "charger" in parts:
        assets["cable"] = {"type": "feeder", "supply": "landlord", "limit_kw": 22}
        for number in range(1, chance.choice((1, 2, 3)) + 1):
            assets[f"socket-{number}"] = {"type": "charge-point", "feeder": "cable"}
        units.append({"type": "charger", "each": "charge-point", "unit": 60})
    if "meters" in parts:
        units.append({"type": "meter", "each": "dwelling", "unit": 10})
    return {
        "label": {"fr": "La cour", "en": "The court"},
        "use": "housing",
        "homes": {"substation": "substation", "fabric": FABRIC},
        "dwellings": [
            {"name": f"flat-{i}", "floor": 0, "surface_m2": 50, "rooms": 2, "orientation": "south",
             "prm": f"{10000000000100 + i}"}
            for i in range(1, homes + 1)
        ],
        "assets": assets,
        "buses": {
            "controller": {"protocol": "bacnet", "host": "127.0.9.1", "port": 47808, "device_instance": 9001,
                           "devices": stations},
            "meters": {"protocol": "modbus", "host": "127.0.9.2", "port": 5020, "devices": units},
        },
    }  # fmt: skip


def _write(path: Path, content: Any) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
