"""The whole district: every point, every balance, local control, commands and replays."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from ems.assets import Dwelling, Plant, Supply, Tank
from ems.district import District
from ems.points import is_counter
from ems.series import Floats
from ems.simulate.plant import Truth, UnknownPointError, World

from .conftest import WINTER, Watched

DAY_TOLERANCE = 0.001  # of what flowed
Node = tuple[Floats, ...]  # stored, came in, went out
ADay = tuple[dict[str, Node], dict[str, Node], Floats]


class TestEveryPoint:
    def test_has_a_value(self, district: District, winter_day: Watched) -> None:
        missing = [p for p, i in winter_day.world.index.items() if not np.isfinite(winter_day.shown[:, i]).all()]
        assert missing == []
        assert set(winter_day.world.index) == set(district.wires)

    @pytest.mark.parametrize("season", ["winter_day", "summer_day"])
    def test_stays_within_what_its_device_calls_plausible(
        self, season: str, district: District, request: pytest.FixtureRequest
    ) -> None:
        watched: Watched = request.getfixturevalue(season)
        wrong = []
        for point, wire in district.wires.items():
            low, high = wire.measure.minimum, wire.measure.maximum
            shown = watched.shown[:, watched.world.index[point]]
            if (low is not None and shown.min() < low) or (high is not None and shown.max() > high):
                wrong.append((point, shown.min(), shown.max(), low, high))
        assert wrong == []

    def test_a_counter_never_goes_down(self, district: District, winter_day: Watched) -> None:
        stocks = ("stored_kwh", "session_energy_kwh")
        fallen = [
            point
            for point, wire in district.wires.items()
            if (
                (is_counter(wire.quantity) and wire.quantity not in stocks)
                or wire.quantity in ("run_h", "starts_count")
            )
            and (np.diff(winter_day.shown[:, winter_day.world.index[point]]) < -1e-9).any()
        ]
        assert fallen == []

    def test_commands_stand_at_their_release_values_when_nobody_commands(
        self, district: District, winter_day: Watched
    ) -> None:
        for point, wire in district.wires.items():
            if wire.measure.write is not None:
                assert winter_day.world.values[winter_day.world.index[point]] == wire.measure.write.release

    def test_heat_meters_count_whole_kwh_and_water_meters_tens_of_litres(
        self, district: District, winter_day: Watched
    ) -> None:
        for dwelling in district.dwellings:
            heat = winter_day.shown[:, winter_day.world.index[f"{dwelling}/heat_energy_kwh"]]
            water = winter_day.shown[:, winter_day.world.index[f"{dwelling}/hot_water_m3"]]
            assert (heat == np.round(heat)).all()
            assert np.allclose(water * 100, np.round(water * 100), atol=1e-6)

    def test_thermostats_have_steps_and_biases(self, district: District, winter_day: Watched) -> None:
        truth = winter_day.after.zones
        names = [n for n, d in district.dwellings.items() if d.thermostat]
        shown = np.array([winter_day.world.values[winter_day.world.index[f"{n}/temperature_c"]] for n in names])
        real = np.array([truth.temperature_c[truth.names.index(n)] for n in names])
        error = shown - real
        assert np.abs(error).max() < 0.5 + 0.25 + 1e-6
        assert error.std() > 0.15
        assert 0.05 < np.mean(np.abs(shown * 2 - np.round(shown * 2)) < 1e-9) < 0.6


def booked(truth: Truth) -> dict[str, Node]:
    """Per node: what is stored, what came in and what went out so far, kWh."""
    zones, tanks, plants, loop = truth.zones, truth.tanks, truth.plants, truth.loop
    cold = np.concatenate([np.zeros(zones.homes), zones.cold_kwh])
    nodes = {
        "zones": (zones.stored_kwh, zones.heat_kwh + zones.gain_kwh, zones.loss_kwh + zones.neighbour_kwh + cold),
        "tanks": (
            tanks.stored_kwh,
            tanks.charge_kwh + tanks.heater_kwh,
            tanks.draw_kwh + tanks.riser_loss_kwh + tanks.standing_kwh,
        ),
        "loop": (
            np.array([loop.stored_kwh]),
            np.array([loop.sea_kwh + loop.ground_kwh]),
            np.array([loop.plants_kwh]),
        ),
        "compressors": (
            np.zeros(len(plants.names)),
            plants.compressor_kwh + plants.loop_kwh + plants.made_kwh["cold"],
            plants.made_kwh["heating"] + plants.made_kwh["hot_water"],
        ),
    }
    return {name: tuple(np.array(a) for a in node) for name, node in nodes.items()}


@pytest.fixture(scope="module")
def day(district: District) -> ADay:
    world = World(district, start=datetime(2026, 3, 31, 18, tzinfo=UTC), seed=5)
    before, electric = booked(world.truth), world.truth.electric
    imported = electric.import_kwh - electric.export_kwh
    devices = electric.device_kwh
    world.advance(world.now + timedelta(hours=18))
    after = world.truth.electric
    assert (after.device_kwh - devices).shape == devices.shape
    net = (after.import_kwh - after.export_kwh) - imported
    of_devices = np.bincount(after.supply_of, after.device_kwh - devices, len(after.supplies))
    return before, booked(world.truth), np.array([net, of_devices])


class TestBalances:
    """Within 0.1 % at every node, over a day in which people, weather and local control did what they did."""

    @pytest.mark.parametrize("node", ["zones", "tanks", "loop", "compressors"])
    def test_heat(self, day: ADay, node: str) -> None:
        before, after = day[0][node], day[1][node]
        change, came, went = (after[i] - before[i] for i in range(3))
        assert np.abs(change - came + went).max() <= DAY_TOLERANCE * max(np.abs(came).max(), 1.0)

    def test_buffers_give_what_substations_and_tanks_take(self, district: District) -> None:
        world = World(district, start=WINTER, seed=5)

        def so_far(truth: Truth) -> dict[str, Floats]:
            """By side: made, taken, stored and lost, kWh."""
            plants, stored = truth.plants, truth.plants.stored_kwh
            taken = {
                "heating": truth.zones.heat_kwh.sum(),
                "hot_water": truth.tanks.charge_kwh.sum(),
                "cold": truth.zones.cold_kwh.sum(),
            }
            made, lost = plants.made_kwh, plants.loss_kwh
            return {
                side: np.array([made[side].sum(), taken[side], stored[side].sum(), lost[side].sum()]) for side in taken
            }

        before = so_far(world.truth)
        world.advance(world.now + timedelta(hours=12))
        after = so_far(world.truth)
        for side, sign in (("heating", 1), ("hot_water", 1), ("cold", -1)):
            made, taken, stored, lost = after[side] - before[side]
            assert stored == pytest.approx(sign * (made - taken) - lost, abs=DAY_TOLERANCE * max(taken, 1.0)), side

    def test_electricity_of_each_supply_point(self, day: ADay) -> None:
        net, of_devices = day[2]
        assert net == pytest.approx(of_devices, rel=DAY_TOLERANCE, abs=1e-6)


class TestLocalControl:
    """Nobody commands anything."""

    def test_keeps_people_warm(self, district: District, winter_day: Watched) -> None:
        zones = winter_day.after.zones
        homes = slice(0, zones.homes)
        short = zones.heating_c[homes] - zones.temperature_c[homes]
        assert np.percentile(short, 95) < 1.0
        assert short.max() < 2.5

    def test_keeps_tanks_and_their_returns_hot(self, winter_day: Watched, summer_day: Watched) -> None:
        for day in (winter_day, summer_day):
            tanks = day.after.tanks
            assert tanks.layers_c[:, 0].min() > 55
            assert tanks.return_c.min() > 50
            assert tanks.cool_minutes.sum() == 0
            assert tanks.unmet_kwh.sum() < 0.1

    def test_cools_offices_in_summer(self, summer_day: Watched) -> None:
        zones = summer_day.after.zones
        assert zones.temperature_c[zones.homes :][zones.cooling_c < 30].max() < 28
        assert zones.temperature_c.max() < 33
        assert zones.cold_kwh.sum() > 1000

    def test_charges_cars(self, winter_day: Watched) -> None:
        cars = winter_day.after.cars
        assert cars.sessions > 20
        assert cars.delivered_kwh.sum() > 100

    def test_stays_within_what_supply_points_carry(
        self, district: District, winter_day: Watched, summer_day: Watched
    ) -> None:
        for day in (winter_day, summer_day):
            limits = np.array([district.asset(n, Supply).physical_limit_kw for n in day.after.electric.supplies])
            assert (day.peak_kw < limits).all()

    def test_the_sun_only_shines_by_day(self, district: District, summer_day: Watched) -> None:
        power = summer_day.shown[:, summer_day.world.index["parking/canopy/power_kw"]]
        assert power.max() == 0
        assert power.min() < -40


def world_at(district: District, start: datetime = WINTER, **more: object) -> World:
    return World(district, start=start, seed=3, warm_up_hours=1, **more)  # type: ignore[arg-type]


def shown(world: World, point: str) -> float:
    return float(world.values[world.index[point]])


class TestCommands:
    def test_an_offset_warms_a_building(self, district: District) -> None:
        usual, warmer = world_at(district), world_at(district)
        for point, wire in district.wires.items():
            if wire.quantity == "setpoint_offset_k" and point.startswith("horizon/"):
                warmer.command(point, 1.0)
        for world in (usual, warmer):
            world.advance(world.now + timedelta(hours=6))
        a, b = usual.truth.zones, warmer.truth.zones
        here = np.array([n.startswith("horizon/") for n in a.names])
        assert (b.temperature_c - a.temperature_c)[here].mean() > 0.2
        assert b.heat_kwh[here].sum() > 1.1 * a.heat_kwh[here].sum()

    def test_each_command_reaches_its_device(self, district: District) -> None:
        world = world_at(district)
        world.command("horizon/tank/charge_on", 0)
        world.command("horizon/substation/heating_curve_offset_k", -5)
        world.command("plant-c/heat-pumps/enable_on", 0)
        world.command("parking/battery/power_setpoint_kw", 60)
        world.command("parking/canopy/limit_share", 0)
        world.command("parking/point-01/current_limit_a", 0)
        world.command("hq-offices/rooms/occupancy_mode", 3)
        before = shown(world, "horizon/substation/supply_temperature_c")
        world.advance(world.now + timedelta(hours=7))
        assert shown(world, "horizon/tank/charge_power_kw") == 0
        assert shown(world, "horizon/substation/supply_temperature_c") < before - 3
        assert shown(world, "plant-c/heat-pumps/compressors_count") == 0
        assert shown(world, "parking/battery/stored_kwh") > 200
        assert shown(world, "parking/canopy/power_kw") == 0
        assert shown(world, "parking/point-01/power_kw") == 0
        zones = world.truth.zones
        assert zones.heating_c[zones.names.index("hq-offices/rooms")] == 16

    def test_a_command_is_shown_at_once(self, district: District, winter_day: Watched) -> None:
        world = world_at(district)
        world.command("horizon/tank/setpoint_c", 63.0)
        assert shown(world, "horizon/tank/setpoint_c") == 63.0

    def test_what_cannot_be_commanded_is_refused_by_name(self, district: District) -> None:
        world = world_at(district)
        with pytest.raises(UnknownPointError, match="horizon/tank/top_temperature_c"):
            world.command("horizon/tank/top_temperature_c", 60)
        with pytest.raises(ValueError, match=r"80.*55.*65"):
            world.command("horizon/tank/setpoint_c", 80)


class TestConstruction:
    def test_a_wired_quantity_that_the_plant_does_not_know_is_refused(self, district: District) -> None:
        wire = district.wires["horizon/tank/top_temperature_c"]
        strange = dataclasses.replace(wire, point="horizon/tank/lid_temperature_c")
        odd = dataclasses.replace(district, wires={**district.wires, strange.point: strange})
        with pytest.raises(UnknownPointError, match=r"no lid_temperature_c of a Tank"):
            World(odd, start=WINTER)

    def test_begins_in_a_whole_minute_and_moves_forward_only(self, district: District) -> None:
        with pytest.raises(ValueError, match="whole minutes"):
            World(district, start=WINTER + timedelta(seconds=5))
        world = world_at(district)
        with pytest.raises(ValueError, match="forward only"):
            world.advance(WINTER - timedelta(minutes=1))

    def test_the_same_seed_gives_the_same_figures_and_another_gives_others(self, district: District) -> None:
        runs = []
        for seed in (1, 1, 2):
            world = World(district, start=WINTER, seed=seed, warm_up_hours=0)
            world.advance(WINTER + timedelta(hours=2))
            runs.append(world.values.copy())
        assert (runs[0] == runs[1]).all()
        assert (runs[0] != runs[2]).mean() > 0.5

    def test_begins_near_a_steady_state(self, district: District) -> None:
        world = World(district, start=WINTER, seed=3)
        before = world.truth.zones.mass_c.copy()
        world.advance(WINTER + timedelta(hours=24))
        assert np.abs(world.truth.zones.mass_c - before).mean() < 0.6


class Constant:
    """A replay of constant series, missing from `until` on."""

    def __init__(self, series: dict[str, float], until: datetime | None = None) -> None:
        self.series, self.until = series, until

    @property
    def points(self) -> tuple[str, ...]:
        return tuple(self.series)

    def minutes(self, point: str, start: datetime, count: int) -> Floats:
        values = np.full(count, self.series[point])
        if self.until is not None:
            known = int((self.until - start).total_seconds() // 60)
            values[max(known, 0) :] = np.nan
        return values


class TestReplay:
    def test_a_replayed_meter_shows_the_series_and_counts_it(self, district: District) -> None:
        series = {
            "horizon/flat-0101/power_kw": 1.5,
            "horizon/roof/power_kw": -7.0,
            "jardins/flat-0101/heat_power_kw": 2.0,
        }
        world = world_at(district, replay=Constant(series))
        registers = ("horizon/flat-0101/energy_kwh", "horizon/roof/energy_kwh", "jardins/flat-0101/heat_energy_kwh")
        before = [shown(world, r) for r in registers]
        world.advance(WINTER + timedelta(hours=4))
        counted = [shown(world, r) - b for r, b in zip(registers, before, strict=True)]
        assert [shown(world, p) for p in series] == [1.5, -7.0, 2.0]
        assert counted == pytest.approx([6.0, 28.0, 8.0], abs=1e-6)

    def test_a_replayed_load_is_really_drawn(self, district: District) -> None:
        quiet = world_at(district, replay=Constant({"hotel/equipment/power_kw": 0.0}))
        busy = world_at(district, replay=Constant({"hotel/equipment/power_kw": 50.0}))
        for world in (quiet, busy):
            world.advance(WINTER + timedelta(minutes=1))
        k = quiet.truth.electric.supplies.index("hotel/tenant")
        assert busy.truth.electric.supply_kw[k] - quiet.truth.electric.supply_kw[k] == pytest.approx(50)

    def test_a_gap_is_missing_and_counts_nothing(self, district: District) -> None:
        point = "horizon/flat-0101/power_kw"
        world = world_at(district, replay=Constant({point: 1.5}, until=WINTER + timedelta(hours=1)))
        before = shown(world, "horizon/flat-0101/energy_kwh")
        world.advance(WINTER + timedelta(hours=3))
        assert np.isnan(shown(world, point))
        assert shown(world, "horizon/flat-0101/energy_kwh") - before == pytest.approx(1.5)

    def test_a_point_that_is_not_wired_is_refused(self, district: District) -> None:
        with pytest.raises(UnknownPointError, match="horizon/flat-9999/power_kw"):
            world_at(district, replay=Constant({"horizon/flat-9999/power_kw": 1.0}))


def test_plants_and_tanks_are_those_of_the_district(district: District, winter_day: Watched) -> None:
    assert winter_day.after.plants.names == tuple(district.of(Plant))
    assert winter_day.after.tanks.names == tuple(district.of(Tank))
    assert winter_day.after.zones.homes == len(district.of(Dwelling)) == 385


def test_residents_turn_two_to_five_percent_of_thermostats_a_day(district: District) -> None:
    residents = world_at(district)._physics.residents
    turned: Callable[[int], int] = lambda day: sum(v != residents.usual_c[i] for _, i, v in residents.settings(day, 0))  # noqa: E731
    share = np.mean([turned(day) for day in range(20000, 20060)]) / residents.count
    assert 0.02 < share < 0.05
