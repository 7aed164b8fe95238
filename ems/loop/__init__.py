"""The control loop: the only place that asks a clock, and the only one that decides when."""
