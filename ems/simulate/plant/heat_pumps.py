"""Plant rooms: water-source circuits between the tempered loop and three hydraulic nodes, with their local control.

Each plant has a heating buffer, a hot-water circuit and a cold buffer; each circuit is in one mode at a time.
Efficiency is a share of Carnot's between the leaving temperatures of both sides, less at low and at full load, and
poor in the first minutes of a run. Local control keeps the nodes at their set points, keeps run and rest times and
starts per hour, serves hot water first, and lets one compressor serve both sides when both call. Written with plain
numbers: there are few circuits, and staging is a matter of cases.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from ems.assets import Plant

HOURS = 1 / 60
KWH_PER_M3_K = 1.163
HOT_WATER_CIRCUIT_M3 = 2.0  # assumption
NODE_LOSS_KW_PER_K = 0.12  # of each node to the plant room (assumption)
PLANT_ROOM_C = 20.0
LOOP_SPREAD_K = 5.0
DESIGN_LOOP_C = 16.0
PLATE_KW_PER_K = 60.0  # exchanger for cooling straight from the loop (assumption)
PLATE_APPROACH_K = 1.5
MODE_MINUTES = 5  # a circuit keeps its mode at least this long
FLYING_START_MINUTES = 2
FREEZING_LOOP_C = 4.5  # entering the evaporators: interlock
HYSTERESIS_K = {"heating": 2.0, "hot_water": 1.5, "cold": 1.5}
GAIN_KW_PER_K = {"heating": 40.0, "hot_water": 30.0, "cold": 30.0}
CUT_OUT_K = 8.0  # beyond the set point: the circuit stops at once

SIDES = ("heating", "hot_water", "cold")
OFF, HEATING, HOT_WATER, COLD, HEATING_AND_COLD, HOT_WATER_AND_COLD = range(6)
HOT_SIDE = {HEATING: "heating", HEATING_AND_COLD: "heating", HOT_WATER: "hot_water", HOT_WATER_AND_COLD: "hot_water"}
COOLS = (COLD, HEATING_AND_COLD, HOT_WATER_AND_COLD)


@dataclass
class Circuit:
    """One compressor."""

    mode: int = OFF
    load: float = 0.0  # 0..1
    age: int = 10_000  # minutes since it started or stopped
    mode_age: int = 10_000
    starts: deque[int] = field(default_factory=deque)  # minutes of the last hour's starts
    start_count: int = 0
    run_minutes: int = 0
    power_kw: float = 0.0
    hot_kw: float = 0.0  # into heating or hot water
    cold_kw: float = 0.0  # out of the cold buffer
    loop_kw: float = 0.0  # out of the loop


class PlantRoom:
    """One plant; commands are `enable`, `capacity` and three leaving set points."""

    def __init__(self, plant: Plant, efficiency: float, capacity: float) -> None:
        """`efficiency` and `capacity`: the true figures over the design ones."""
        self.plant = plant
        self.name = plant.name
        self.share = plant.carnot_share * efficiency
        self.heat_kw, self.cold_kw = plant.heat_kw * capacity, plant.cold_kw * capacity
        self.circuits = [Circuit() for _ in range(plant.circuits)]
        self.capacity_kwh_per_k = {
            "heating": plant.heating_buffer_m3 * KWH_PER_M3_K,
            "hot_water": HOT_WATER_CIRCUIT_M3 * KWH_PER_M3_K,
            "cold": plant.cold_buffer_m3 * KWH_PER_M3_K,
        }
        self.node_c = {"heating": 38.0, "hot_water": 60.0, "cold": 9.0}
        self.call = {"heating": False, "hot_water": False, "cold": False}
        self.made_kw = {"heating": 0.0, "hot_water": 0.0, "cold": 0.0}
        self.loss_kw = {"heating": 0.0, "hot_water": 0.0, "cold": 0.0}
        self.loss_kwh = {"heating": 0.0, "hot_water": 0.0, "cold": 0.0}
        self.made_kwh = {"heating": 0.0, "hot_water": 0.0, "cold": 0.0}
        self.need_kw = {"heating": 0.0, "hot_water": 0.0, "cold": 0.0}
        self.recovered_kw = 0.0
        self.plate_kw = 0.0
        self.compressor_kw = 0.0
        self.pumps_kw = 0.0
        self.loop_kw = 0.0  # out of the loop
        self.loop_flow_m3_per_h = 0.0
        self.loop_entering_c = DESIGN_LOOP_C
        self.loop_leaving_c = DESIGN_LOOP_C
        self.compressor_kwh = 0.0
        self.pumps_kwh = 0.0
        self.loop_kwh = 0.0
        self.recovered_kwh = 0.0
        self.fault = False

    def efficiency(self, hot_c: float, cold_c: float, load: float, age: int) -> float:
        """Heat on the hot side over electricity."""
        part = 1.0 - 0.35 * (load - 0.6) ** 2
        fresh = 0.75 if age < FLYING_START_MINUTES else 1.0
        return max(self.share * part * fresh * (hot_c + 273.15) / max(hot_c - cold_c, 8.0), 1.05)

    def heat_capacity(self, hot_c: float, source_c: float) -> float:
        """Most heat of one circuit, kW: less when the hot side is hotter or the source colder."""
        warm = 1 + 0.02 * max(min(source_c - DESIGN_LOOP_C, 8.0), -14.0)
        return self.heat_kw * warm * (1 - 0.005 * (hot_c - self.plant.heating_leaving_c))

    def cold_capacity(self, cold_c: float, sink_c: float) -> float:
        return self.cold_kw * (1 + 0.02 * (cold_c - self.plant.cold_leaving_c)) * (1 - 0.008 * (sink_c - 20.0))

    def step(
        self,
        minute: int,
        loop_c: float,
        draw_kw: dict[str, float],
        asks: dict[str, bool],
        setpoint_c: dict[str, float],
        enable: bool,
        capacity_share: float,
    ) -> None:
        """One minute. `draw_kw`: heat out of the two hot nodes and into the cold one; `asks`: the sides wanted."""
        self.loop_entering_c = loop_c
        node, need = self.node_c, self.need_kw
        for side in SIDES:
            # Too cold (or, on the cold side, too warm) by this much.
            gap = setpoint_c[side] - node[side] if side != "cold" else node[side] - setpoint_c[side]
            hysteresis = HYSTERESIS_K[side]
            call = asks[side] and (gap > hysteresis or (self.call[side] and gap > -hysteresis))
            self.call[side] = call
            need[side] = max(draw_kw[side] + GAIN_KW_PER_K[side] * (gap + 0.3 * hysteresis), 1.0) if call else 0.0

        # Straight from the loop while it is cold enough.
        self.plate_kw = 0.0
        if asks["cold"] and loop_c + PLATE_APPROACH_K < node["cold"]:
            lift = node["cold"] - loop_c - PLATE_APPROACH_K
            self.plate_kw = min(PLATE_KW_PER_K * lift, 0.8 * lift * self.capacity_kwh_per_k["cold"] / HOURS)
            need["cold"] = max(need["cold"] - self.plate_kw, 0.0)

        self._stage(minute, loop_c, setpoint_c, enable, capacity_share * len(self.circuits))

        made = {"heating": 0.0, "hot_water": 0.0, "cold": self.plate_kw}
        power = recovered = loop = 0.0
        for circuit in self.circuits:
            if circuit.mode == OFF:
                continue
            power += circuit.power_kw
            loop += circuit.loop_kw
            made["cold"] += circuit.cold_kw
            if circuit.mode != COLD:
                made[HOT_SIDE[circuit.mode]] += circuit.hot_kw
                recovered += circuit.cold_kw
        for side in SIDES:
            loss = NODE_LOSS_KW_PER_K * (node[side] - PLANT_ROOM_C)
            flow = made[side] - draw_kw[side] if side != "cold" else draw_kw[side] - made[side]
            node[side] += (flow - loss) * HOURS / self.capacity_kwh_per_k[side]
            self.loss_kw[side] = loss
            self.loss_kwh[side] += loss * HOURS
            self.made_kwh[side] += made[side] * HOURS
        self.made_kw, self.recovered_kw, self.compressor_kw = made, recovered, power
        self.loop_kw = loop - self.plate_kw
        running = sum(c.load for c in self.circuits if c.mode != OFF) / len(self.circuits)
        busy = running > 0 or any(asks.values())
        self.pumps_kw = self.plant.pump_kw * ((0.25 + 0.75 * running) if busy else 0.05)
        self.loop_flow_m3_per_h = max(abs(self.loop_kw) / (KWH_PER_M3_K * LOOP_SPREAD_K), 2.0 if running > 0 else 0.0)
        change = self.loop_kw / (KWH_PER_M3_K * self.loop_flow_m3_per_h) if self.loop_flow_m3_per_h > 0 else 0.0
        self.loop_leaving_c = loop_c - change
        self.compressor_kwh += power * HOURS
        self.pumps_kwh += self.pumps_kw * HOURS
        self.loop_kwh += self.loop_kw * HOURS
        self.recovered_kwh += recovered * HOURS

    def _stage(self, minute: int, loop_c: float, setpoint_c: dict[str, float], enable: bool, budget: float) -> None:
        """Give each circuit its mode and load for this minute. `budget`: full circuits allowed."""
        plant, minimum = self.plant, self.plant.minimum_load_share
        left = dict(self.need_kw)
        served = {"heating": False, "hot_water": False, "cold": False}
        order = sorted(self.circuits, key=lambda c: (c.mode == OFF, c.run_minutes if c.mode == OFF else 0))
        for circuit in order:
            running = circuit.mode != OFF
            must_run = running and circuit.age < plant.minimum_run_minutes
            mode = self._wanted(circuit, left, served, setpoint_c) if enable and loop_c > FREEZING_LOOP_C else OFF
            if budget < minimum:
                mode = OFF
            if mode == OFF and must_run and not self._cut_out(circuit.mode, setpoint_c):
                mode = circuit.mode
            if mode != OFF and not running and not self._may_start(circuit, minute):
                mode = OFF
            if mode != OFF and self._cut_out(mode, setpoint_c):
                mode = OFF
            self._run(circuit, mode, minute, loop_c, left, min(max(budget, minimum), 1.0))
            if circuit.mode != OFF:
                budget -= circuit.load
                if circuit.mode in COOLS:
                    served["cold"] = True
                    left["cold"] = max(left["cold"] - circuit.cold_kw, 0.0)
                if circuit.mode != COLD:
                    side = HOT_SIDE[circuit.mode]
                    served[side] = True
                    left[side] = max(left[side] - circuit.hot_kw, 0.0)

    def _wanted(
        self, circuit: Circuit, left: dict[str, float], served: dict[str, bool], setpoint_c: dict[str, float]
    ) -> int:
        """The mode in which this circuit is useful now, or OFF."""

        def open_need(side: str) -> bool:
            """A need nobody serves yet, or one that is behind although another circuit serves it."""
            if left[side] <= 0:
                return False
            if not served[side]:
                return True
            gap = abs(setpoint_c[side] - self.node_c[side])
            already = circuit.mode != OFF and (
                HOT_SIDE.get(circuit.mode) == side or (side == "cold" and circuit.mode in COOLS)
            )
            return left[side] > (0.03 if already else 0.12) * self.heat_kw and (already or gap > HYSTERESIS_K[side])

        hot_water, heating, cold = open_need("hot_water"), open_need("heating"), open_need("cold")
        if circuit.mode != OFF and circuit.mode_age < MODE_MINUTES:
            side = HOT_SIDE.get(circuit.mode)
            if (
                (side == "hot_water" and hot_water)
                or (side == "heating" and heating)
                or (circuit.mode in COOLS and cold)
            ):
                return circuit.mode
        if hot_water:
            return HOT_WATER_AND_COLD if cold else HOT_WATER
        if heating:
            return HEATING_AND_COLD if cold else HEATING
        return COLD if cold else OFF

    def _cut_out(self, mode: int, setpoint_c: dict[str, float]) -> bool:
        """A side of this mode is so far beyond its set point that the pressure switch opens."""
        side = HOT_SIDE.get(mode)
        if side is not None and self.node_c[side] > min(setpoint_c[side] + CUT_OUT_K, 74.0):
            return True
        return mode in COOLS and self.node_c["cold"] < max(setpoint_c["cold"] - 4.0, 3.5)

    def _may_start(self, circuit: Circuit, minute: int) -> bool:
        while circuit.starts and circuit.starts[0] <= minute - 60:
            circuit.starts.popleft()
        return circuit.age >= self.plant.minimum_rest_minutes and len(circuit.starts) < self.plant.starts_per_hour

    def _run(
        self, circuit: Circuit, mode: int, minute: int, loop_c: float, left: dict[str, float], most: float
    ) -> None:
        """One minute of one circuit in a mode, at a load between its minimum stage and `most`."""
        was_running = circuit.mode != OFF
        if mode == OFF:
            circuit.age = circuit.age + 1 if not was_running else 0
            circuit.mode_age = circuit.mode_age + 1 if not was_running else 0
            circuit.mode, circuit.load = OFF, 0.0
            circuit.power_kw = circuit.hot_kw = circuit.cold_kw = circuit.loop_kw = 0.0
            return
        if not was_running:
            circuit.age, circuit.start_count = 0, circuit.start_count + 1
            circuit.starts.append(minute)
        else:
            circuit.age += 1
        circuit.mode_age = 0 if mode != circuit.mode else circuit.mode_age + 1
        circuit.mode = mode
        circuit.run_minutes += 1
        minimum = self.plant.minimum_load_share
        cold_leaving = self.node_c["cold"] - 1.0
        if mode == COLD:
            sink = loop_c + 3.0
            capacity = self.cold_capacity(cold_leaving, sink)
            load = min(max(left["cold"] / capacity, minimum), most)
            cold = load * capacity
            cop = self.efficiency(sink + 1.0, cold_leaving, load, circuit.age) - 1.0
            circuit.load, circuit.cold_kw, circuit.power_kw = load, cold, cold / max(cop, 0.5)
            circuit.hot_kw, circuit.loop_kw = 0.0, -(cold + circuit.power_kw)
            return
        side = HOT_SIDE[mode]
        hot_leaving = self.node_c[side] + 1.0
        source = cold_leaving if mode in COOLS else loop_c - 2.0
        capacity = self.heat_capacity(hot_leaving, source)
        load = left[side] / capacity
        if mode in COOLS:
            # The weaker side leads, but not below half of the stronger: its call then ends and the mode changes.
            cold_load = left["cold"] / (0.7 * capacity)
            load = max(min(load, cold_load), 0.5 * max(load, cold_load))
        load = min(max(load, minimum), most)
        heat = load * capacity
        power = heat / self.efficiency(hot_leaving, source, load, circuit.age)
        circuit.load, circuit.hot_kw, circuit.power_kw = load, heat, power
        circuit.cold_kw, circuit.loop_kw = (heat - power, 0.0) if mode in COOLS else (0.0, heat - power)

    def stored_kwh(self, side: str) -> float:
        """Heat in a node above 0 degC."""
        return self.node_c[side] * self.capacity_kwh_per_k[side]
