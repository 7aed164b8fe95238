"""All servers of a simulated district, on loopback and nowhere else."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import defaultdict
from contextlib import suppress

from ems.district import Bus, District, Wire
from ems.simulate.servers.gateway import Gateway
from ems.simulate.servers.plant import Plant
from ems.simulate.servers.station import OVERRIDE_PRIORITY, Station

__all__ = ["FieldServers", "Plant"]


class FieldServers:
    """A server for each bus of the district, showing what `plant` shows and passing on what is written.

    Raises ValueError for a bus that is neither on loopback nor on a pseudo-terminal: a simulated device must never be
    taken for a real one.
    """

    def __init__(self, district: District, plant: Plant) -> None:
        groups: dict[str, list[Wire]] = defaultdict(list)
        for wire in district.wires.values():
            groups[wire.bus.name].append(wire)
        self.servers: dict[str, Station | Gateway] = {}
        for name, wires in groups.items():
            bus = district.buses[name]
            if not _is_pretended(bus):
                raise ValueError(
                    f"{name} is at {bus.host or bus.address}; simulated devices are only served on loopback, "
                    "127.x.y.z, or on a pseudo-terminal, /dev/pts/N"
                )
            kind = Station if bus.protocol == "bacnet" else Gateway
            self.servers[name] = kind(bus, wires, plant)
        self._bus_of = {wire.point: wire.bus.name for wire in district.wires.values()}

    async def start(self) -> None:
        """Listen on every bus. Raises OSError, with nothing left running, when an address is taken."""
        try:
            for server in self.servers.values():
                await server.start()
                await asyncio.sleep(0)
        except OSError:
            await self.stop()
            raise

    async def stop(self) -> None:
        for server in self.servers.values():
            with suppress(OSError):
                await server.stop()

    def tick(self) -> None:
        """Let the devices' watchdogs see the plant's clock; call it whenever `plant.now` has moved."""
        for server in self.servers.values():
            server.tick()

    # Faults on demand

    async def silence(self, bus: str) -> None:
        """The bus takes requests and never answers."""
        self.servers[bus].silent = True

    async def slow(self, bus: str, seconds: float) -> None:
        """Every answer of the bus comes late."""
        self.servers[bus].delay_s = seconds

    async def failing(self, bus: str) -> None:
        """Every request is answered with an exception."""
        self.servers[bus].failing = True

    async def restore(self, bus: str) -> None:
        """The bus works again."""
        server = self.servers[bus]
        server.silent, server.failing, server.delay_s = False, False, 0.0

    async def override(self, point: str, value: float | None) -> None:
        """A person at the controller holds a BACnet output at priority 8, or lets go with None.

        Raises ValueError for a Modbus point: a register has no priorities.
        """
        server = self.servers[self._bus_of[point]]
        if not isinstance(server, Station) or not server.cells[point].writable:
            raise ValueError(f"{point} is no BACnet output; nobody can hold it at priority {OVERRIDE_PRIORITY}")
        server.cells[point].put(OVERRIDE_PRIORITY, value)


def _is_pretended(bus: Bus) -> bool:
    if bus.serial is not None:
        return bus.serial.port.startswith("/dev/pts/")
    try:
        return ipaddress.ip_address(bus.host).is_loopback
    except ValueError:
        return False
