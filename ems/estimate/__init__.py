"""States that no meter shows, estimated from those that do."""

from ems.estimate.sessions import sessions

__all__ = ["sessions"]
