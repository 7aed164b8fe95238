"""What a person at a terminal sees: a plan as a chart with its costs and reasons, and the loop while it runs."""

from ems.terminal.chart import bars, chart
from ems.terminal.live import EVENT_STYLES, LivePanel
from ems.terminal.plan import plan_view

__all__ = ["EVENT_STYLES", "LivePanel", "bars", "chart", "plan_view"]
