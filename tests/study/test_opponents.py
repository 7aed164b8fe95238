from ems.assets import ChargePoint, Feeder
from ems.study.opponents import RuleBook, shared_current_a

FEEDER = Feeder(name="p/f", supply="p/s", limit_kw=23.0)


def points(count: int, phases: int = 1) -> dict[str, ChargePoint]:
    return {f"p/{k}": ChargePoint(name=f"p/{k}", feeder="p/f", phases=phases) for k in range(count)}


def test_cars_share_the_cable_evenly() -> None:
    # By hand: 23 kW at 230 V on one phase are 100 A; five cars get 20 A each.
    assert shared_current_a(FEEDER, points(5)) == dict.fromkeys(points(5), 20.0)


def test_nobody_gets_more_than_the_socket_gives() -> None:
    assert shared_current_a(FEEDER, points(2)) == dict.fromkeys(points(2), 32.0)


def test_below_six_ampere_the_last_ones_wait() -> None:
    # 100 A carry sixteen cars at 6 A (6.25 A each), not twenty.
    shared = shared_current_a(FEEDER, points(20))
    assert list(shared) == [f"p/{k}" for k in range(16)]
    assert set(shared.values()) == {6.2}


def test_the_tuned_figures_are_read_from_their_file() -> None:
    assert isinstance(RuleBook.tuned(), RuleBook)
