"""Properties of the field are about values, not about how fast a shared machine finds them."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("field", deadline=None)
settings.load_profile("field")
