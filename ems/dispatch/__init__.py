"""The way out: which set points are due, which of them are permitted, and whether the last ones held.

Pure: commands go in and out as values, the loop writes them.
"""

from ems.dispatch.due import due, heartbeats
from ems.dispatch.permit import Permission, permit
from ems.dispatch.verify import Deviation, verify

__all__ = ["Deviation", "Permission", "due", "heartbeats", "permit", "verify"]
