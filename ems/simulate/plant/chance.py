"""Seeded chance: a draw depends on seed, subject and day alone, never on when or in what order it is asked."""

from __future__ import annotations

from zlib import crc32

import numpy as np

from ems.series import Floats


def chance(seed: int, subject: str, day: int = 0) -> np.random.Generator:
    """The generator of one subject on one day (days since the epoch; 0 for what never changes)."""
    return np.random.default_rng([seed & 0xFFFFFFFF, crc32(subject.encode()), day & 0xFFFFFFFF])


def spread(seed: int, subject: str, count: int, share: float) -> Floats:
    """`count` factors drawn evenly from 1 - share to 1 + share: how far a true figure lies from its design value."""
    return chance(seed, subject).uniform(1 - share, 1 + share, count)
