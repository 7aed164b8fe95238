"""The devices of the simulated district on real sockets: BACnet/IP stations and Modbus/TCP gateways on loopback."""

from ems.simulate.servers.district import FieldServers, Plant

__all__ = ["FieldServers", "Plant"]
