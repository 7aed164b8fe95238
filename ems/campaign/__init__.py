"""Campaigns: the real loop under seeded faults, kills, power cuts and rivals, in virtual time, against invariants.

Real: `Control`, the journal, the store on a real SQLite file, the gate, `Field` with its belief and expiry. Simulated:
the event loop's time, the lines below `Field` with the devices behind them, and (mostly) the planner.
"""
