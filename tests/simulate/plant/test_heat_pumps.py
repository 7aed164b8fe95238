"""One plant room by itself."""

from itertools import pairwise

import pytest

from ems.assets import Plant
from ems.simulate.plant.heat_pumps import HEATING_AND_COLD, HOT_WATER_AND_COLD, OFF, SIDES, PlantRoom

PLANT = Plant(name="p/pumps", supply="s", loop="l", circuits=2, heat_kw=425, cold_kw=470)
SETPOINTS = {"heating": 42.0, "hot_water": 66.0, "cold": 7.0}


def run(
    room: PlantRoom,
    minutes: int,
    heating: float = 0.0,
    hot_water: float = 0.0,
    cold: float = 0.0,
    *,
    loop: float = 16.0,
    enable: bool = True,
    capacity: float = 1.0,
    first: int = 0,
    setpoints: dict[str, float] | None = None,
) -> list[tuple[int, ...]]:
    """The modes of the circuits, minute by minute."""
    draw = {"heating": heating, "hot_water": hot_water, "cold": cold}
    asks = {side: kw > 0 for side, kw in draw.items()}
    modes = []
    for minute in range(first, first + minutes):
        room.step(minute, loop, draw, asks, setpoints or SETPOINTS, enable, capacity)
        modes.append(tuple(c.mode for c in room.circuits))
    return modes


def test_efficiency_by_hand() -> None:
    # 0.47 x 313.15 / (40 - 14) = 5.66 at the best load, once it runs.
    assert PlantRoom(PLANT, 1, 1).efficiency(40.0, 14.0, 0.6, 30) == pytest.approx(5.66, abs=0.01)
    assert PlantRoom(PLANT, 1, 1).efficiency(40.0, 14.0, 0.6, 0) == pytest.approx(0.75 * 5.66, abs=0.01)


def test_keeps_each_leaving_temperature_near_its_set_point() -> None:
    room = PlantRoom(PLANT, 1, 1)
    run(room, 300, heating=150, hot_water=120)
    assert room.node_c["heating"] == pytest.approx(42, abs=3.5)
    assert room.node_c["hot_water"] == pytest.approx(66, abs=4)
    cooler = PlantRoom(PLANT, 1, 1)
    run(cooler, 300, cold=300, loop=24)
    assert cooler.node_c["cold"] == pytest.approx(7, abs=3)


@pytest.mark.parametrize("draw", [(200, 90, 0), (0, 90, 250), (60, 0, 300), (0, 30, 0), (500, 250, 400), (0, 0, 700)])
def test_heat_and_electricity_balance_on_both_sides(draw: tuple[float, float, float]) -> None:
    room = PlantRoom(PLANT, 1.03, 0.97)
    before = {side: room.stored_kwh(side) for side in SIDES}
    run(room, 24 * 60, *map(float, draw), loop=20)
    made = room.made_kwh
    assert made["heating"] + made["hot_water"] - made["cold"] == pytest.approx(
        room.compressor_kwh + room.loop_kwh, rel=1e-9
    )
    for side, drawn in zip(SIDES, draw, strict=True):
        sign = -1 if side == "cold" else 1
        change = room.stored_kwh(side) - before[side]
        assert change == pytest.approx(sign * (made[side] - drawn * 24) - room.loss_kwh[side], abs=1e-6)


def test_one_compressor_serves_both_sides_when_both_call() -> None:
    room = PlantRoom(PLANT, 1, 1)
    modes = run(room, 240, hot_water=150, cold=200, loop=24)
    assert any(HOT_WATER_AND_COLD in m for m in modes)
    assert room.recovered_kwh > 50
    room = PlantRoom(PLANT, 1, 1)
    modes = run(room, 240, heating=200, cold=200, loop=16)
    assert any(HEATING_AND_COLD in m for m in modes)


def test_run_and_rest_times_and_starts_per_hour_are_kept() -> None:
    room = PlantRoom(PLANT, 1, 1)
    modes = run(room, 24 * 60, hot_water=25.0)  # far below the minimum stage: it must cycle
    for k in range(2):
        on = [m[k] != OFF for m in modes]
        edges = [i for i in range(1, len(on)) if on[i] != on[i - 1]]
        assert len(edges) > 4
        lengths = [b - a for a, b in pairwise(edges)]
        assert min(lengths) >= 10
        starts = [i for i in edges if on[i]]
        assert all(len([s for s in starts if t <= s < t + 60]) <= 4 for t in starts)


def test_disabled_it_rests_and_its_nodes_cool() -> None:
    room = PlantRoom(PLANT, 1, 1)
    modes = run(room, 120, heating=20, enable=False)
    assert all(m == (OFF, OFF) for m in modes)
    assert room.node_c["heating"] < 38
    assert room.compressor_kwh == 0


def test_a_capacity_limit_holds_the_load() -> None:
    room = PlantRoom(PLANT, 1, 1)
    run(room, 180, heating=900, capacity=0.5)
    assert sum(c.load for c in room.circuits) <= 1.0 + 1e-9
    run(room, 60, heating=900, capacity=0.1, first=180)
    assert all(c.mode == OFF for c in room.circuits)


def test_a_cold_loop_cools_without_a_compressor() -> None:
    room = PlantRoom(PLANT, 1, 1)
    run(room, 180, cold=60, loop=9, setpoints={**SETPOINTS, "cold": 12.0})
    assert room.plate_kw > 40
    assert room.compressor_kw == 0
    assert room.loop_kwh < 0


def test_a_freezing_loop_stops_the_evaporators() -> None:
    room = PlantRoom(PLANT, 1, 1)
    assert all(m == (OFF, OFF) for m in run(room, 30, heating=200, loop=4.0))


def test_hotter_water_costs_more_electricity() -> None:
    mild, hot = PlantRoom(PLANT, 1, 1), PlantRoom(PLANT, 1, 1)
    run(mild, 600, hot_water=150, setpoints={**SETPOINTS, "hot_water": 60.0})
    run(hot, 600, hot_water=150, setpoints={**SETPOINTS, "hot_water": 70.0})
    assert hot.compressor_kwh > 1.08 * mild.compressor_kwh
