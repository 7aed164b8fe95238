"""Contracts: what a kWh costs in each slot, who bills what, and how much CO2 it stands for."""

from ems.market.contract import Contract, Prices, prices

__all__ = ["Contract", "Prices", "prices"]
