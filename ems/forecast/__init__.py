"""What is expected over the next two days: history in, quantiles out. Pure: no clock, no file, no randomness."""

from ems.forecast.district import HISTORY_DAYS, forecast, history_points
from ems.forecast.experience import Experience
from ems.forecast.models import MODELS, Model, Past
from ems.forecast.race import Outlook, race

__all__ = ["HISTORY_DAYS", "MODELS", "Experience", "Model", "Outlook", "Past", "forecast", "history_points", "race"]
