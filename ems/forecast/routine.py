"""The routine of learning: learn when it is due, else follow what became of the latest forecasts; then forecast."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from threadpoolctl import threadpool_limits

from ems.forecast.experience import Experience, Key
from ems.forecast.learn import Learnt, Pending, expect, follow, learn
from ems.forecast.models import Past
from ems.series import Floats

FOLLOWED_EVERY_S = 6 * 3600
FOLLOWED = 9


def looked_up(
    experience: Experience, key: Key, past: Past, horizon: int, refit_after: timedelta
) -> tuple[Learnt | str, Floats | None]:
    """What is known of a group and its quantiles [3, M, horizon]; in words, and None, where too little is known.

    Learns anew when what was learnt is `refit_after` old, lies in the future, or does not fit the past any more.
    """
    with threadpool_limits(limits=1, user_api="blas"):  # of many small products: two threads took twice as long as one
        return _looked_up(experience, key, past, horizon, refit_after)


def _looked_up(
    experience: Experience, key: Key, past: Past, horizon: int, refit_after: timedelta
) -> tuple[Learnt | str, Floats | None]:
    slots = past.calendar.slots
    now = int(slots.start.timestamp()) + past.length * slots.minutes * 60
    learnt = experience.learnt.get(key)
    made = None
    if learnt is not None and 0 <= now - learnt.when < refit_after.total_seconds():
        follow(learnt, past)
        made = expect(learnt, past, horizon)
    if learnt is None or made is None:
        found = learn(past, horizon)
        if isinstance(found, str):
            return found, None
        if learnt is not None:
            found.pending = learnt.pending
        learnt = found
        experience.keep(key, learnt)
        made = expect(learnt, past, horizon)
        assert made is not None
    if not learnt.pending or now - learnt.pending[-1].begin >= FOLLOWED_EVERY_S:
        learnt.pending = [*learnt.pending[1 - FOLLOWED :], Pending(now, made.astype(np.float32))]
    return learnt, made
