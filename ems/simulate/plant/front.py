"""The front of the plant: which wired point shows and takes what."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np

from ems.district import BacnetObject, District
from ems.points import dimension, split_point
from ems.series import Floats
from ems.simulate.plant.chance import chance
from ems.simulate.plant.panel import Counter, Panel

SENSOR_K = 0.12  # standard deviation of a temperature sensor's constant error


class UnknownPointError(ValueError):
    """A wired or commanded point that the simulated plant does not know."""


class Front:
    """`index` gives each wired point its place in `values`, what its device shows."""

    def __init__(
        self, district: District, panels: Sequence[Panel], homes: Collection[str], zones: Collection[str], seed: int
    ) -> None:
        """Find for every wired point who shows it; raises UnknownPointError for what nobody knows.

        `homes` and `zones`: assets whose room sensors know their own bias.
        """
        self.district, self.panels = district, panels
        known: dict[tuple[str, str], tuple[int, str, int]] = {}
        commands: dict[tuple[str, str], tuple[Floats, int]] = {}
        for number, panel in enumerate(self.panels):
            for place, asset in enumerate(panel.assets):
                for quantity in (*panel.readings, *panel.counters, *panel.commands):
                    known[asset, quantity] = (number, quantity, place)
                for quantity, array in panel.commands.items():
                    commands[asset, quantity] = (array, place)
        self.index: dict[str, int] = {point: i for i, point in enumerate(district.wires)}
        self.values: Floats = np.full(len(self.index), np.nan)
        self._commands: dict[str, tuple[Floats, int]] = {}
        places: dict[tuple[int, str], list[tuple[int, int]]] = {}
        self._bias = np.zeros(len(self.index))
        self._step = np.zeros(len(self.index))
        draw = chance(seed, "sensors")
        for point, wire in district.wires.items():
            building, short, quantity = split_point(point)
            asset = f"{building}/{short}"
            if (asset, quantity) not in known:
                kind = type(district.assets[asset]).__name__
                can = sorted(q for a, q in known if a == asset)
                raise UnknownPointError(
                    f"{point}: the simulated plant knows no {quantity} of a {kind}; it knows {', '.join(can)}"
                )
            number, quantity, place = known[asset, quantity]
            places.setdefault((number, quantity), []).append((self.index[point], place))
            if wire.writable:
                if (asset, quantity) not in commands:
                    raise UnknownPointError(
                        f"{point} is wired as writable, but the simulated plant only shows it; remove its write block"
                    )
                array, position = commands[asset, quantity]
                self._commands[point] = (array, position)
                assert wire.measure.write is not None
                array[position] = wire.measure.write.release
            elif isinstance(wire.measure, BacnetObject):
                bias = float(draw.normal(0, SENSOR_K))
                if dimension(quantity) == "temperature" and asset not in homes and asset not in zones:
                    self._bias[self.index[point]] = bias if quantity != "setpoint_c" else 0.0
                self._step[self.index[point]] = wire.measure.resolution if asset not in homes else 0.0
        self._layout = [
            (number, quantity, np.array([i for i, _ in pairs]), np.array([k for _, k in pairs]))
            for (number, quantity), pairs in places.items()
        ]
        self._stepped = np.flatnonzero(self._step)

    def show(self) -> None:
        """Bring `values` up to date."""
        values = self.values
        for number, quantity, where, place in self._layout:
            panel = self.panels[number]
            if quantity in panel.commands:
                values[where] = panel.commands[quantity][place]
            elif quantity in panel.counters:
                values[where] = panel.counters[quantity].read()[place]
            else:
                values[where] = panel.readings[quantity]()[place]
        values += self._bias
        step = self._step[self._stepped]
        values[self._stepped] = np.round(values[self._stepped] / step) * step

    def start_counters(self) -> None:
        """Let every register read now what it began with: what came before now is forgotten."""
        for panel in self.panels:
            for counter in panel.counters.values():
                counter.start = counter.start - counter.since()

    def counter_at(self, point: str) -> tuple[Counter, int]:
        building, short, quantity = split_point(point)
        asset = f"{building}/{short}"
        for panel in self.panels:
            if quantity in panel.counters and asset in panel.assets:
                return panel.counters[quantity], panel.assets.index(asset)
        raise UnknownPointError(f"{point} is no counter of the plant")

    def command(self, point: str, value: float) -> None:
        """What the device applies from now on, release values included; it is shown at once.

        Raises UnknownPointError for a point nobody can command, ValueError outside the device's own limits.
        """
        slot = self._commands.get(point)
        if slot is None:
            raise UnknownPointError(f"{point} cannot be commanded; the plant takes {len(self._commands)} points")
        wire = self.district.wires[point]
        write = wire.measure.write
        assert write is not None
        if not (math.isfinite(value) and write.minimum <= value <= write.maximum):
            raise ValueError(f"{point}: {value} lies outside {write.minimum}..{write.maximum}")
        array, place = slot
        array[place] = value
        self.values[self.index[point]] = value
