"""Studies: the same loop, gate and store as in life, on a simulated plant in virtual time, against honest opponents.

One run is (scenario, controller, seed); a study compares runs. What opponents do is in docs/opponents.md, what is
counted in docs/kpi.md.
"""
