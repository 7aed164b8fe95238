"""The store: SQLite by default, PostgreSQL when outgrown. `Store.open` writes, `Store.read_only` is for the web."""

from ems.store.database import Concern, StoreBusy, StoreError, sqlite_concern
from ems.store.journal import Journal, JournalError, Run
from ems.store.leadership import HeldBy, Leadership, LeadershipLost, Lease
from ems.store.store import Store

__all__ = [
    "Concern",
    "HeldBy",
    "Journal",
    "JournalError",
    "Leadership",
    "LeadershipLost",
    "Lease",
    "Run",
    "Store",
    "StoreBusy",
    "StoreError",
    "sqlite_concern",
]
