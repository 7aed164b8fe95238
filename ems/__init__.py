"""Smartseille EMS: a connected district, measured, forecast, planned and controlled every quarter-hour."""
