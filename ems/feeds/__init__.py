"""What comes from outside the district: today a weather forecast in a file."""

from ems.feeds.weather import Absent, forecast_from_json, forecast_to_json, read_weather_file, write_weather_file

__all__ = ["Absent", "forecast_from_json", "forecast_to_json", "read_weather_file", "write_weather_file"]
