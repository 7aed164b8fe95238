"""Charts: whole-number paths that say what the numbers say."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from ems.web.chart import Area, Bars, Limit, Line, draw, scale, stacked


def test_a_scale_has_round_ticks_that_hold_all() -> None:
    axis = scale(-180, 930)
    assert axis.ticks == [1000, 750, 500, 250, 0, -250]
    assert [round(t, 9) for t in scale(0, 0.2).ticks] == [0.2, 0.15, 0.1, 0.05, 0.0]
    assert scale(0, 0).ticks[-1] == 0


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_every_value_is_inside_its_scale(a: float, b: float) -> None:
    axis = scale(min(a, b), max(a, b))
    assert 2 <= len(axis.ticks) <= 8
    for value in (a, b, 0.0):
        assert 0 <= axis.y(value) <= 240
    assert any(abs(t) < axis.step * 1e-6 for t in axis.ticks)


def test_needs_pile_up_and_sources_pile_down() -> None:
    piles = stacked([Area("a", [1, 2], "a"), Area("b", [3, -1], "b"), Area("c", [-2, -2], "c")])
    assert piles == [([0, 0], [1, 2]), ([1, -1], [4, 0]), ([-2, -3], [0, -1])]


def test_a_line_of_steps_by_hand() -> None:
    # Scale 0..4, 240 units high: 4 is at 0, 2 at 120. Four units per slot.
    chart = draw([], [Line("x", [4, 4, 2, None, 2], "ink")], title="t", description="d")
    assert 'class="line ink" d="M0 0h8v120h4M16 120h4"' in chart.svg


def test_an_area_by_hand() -> None:
    chart = draw([Area("x", [4, 2, 0], "ink")], [], title="t", description="d")
    assert 'class="area ink" d="M0 0h4v120h4v120h-8z"' in chart.svg


@given(st.lists(st.floats(-500, 500), min_size=1, max_size=200), st.text(max_size=20))
def test_any_chart_is_well_formed_and_described(values: list[float], words: str) -> None:
    printable = "".join(c for c in words if c.isprintable())
    chart = draw([Area("a", values, "sun")], [Line("b", [None, *values], "grid")], title=printable, description="d")
    root = ElementTree.fromstring(str(chart.svg))
    assert root.attrib["role"] == "img"
    assert (root[0].tag, root[0].text or "") == ("title", printable)
    for path in root.iter("path"):
        assert re.fullmatch(r"(M\d+ -?\d+|h-?\d+|v-?\d+|z)*", path.attrib["d"])


def test_bars_by_hand() -> None:
    # Scale 0..4: 4 is 240 high, 2 is 120. Nothing for nothing; what is estimated is one outline.
    bars = Bars("x", [4, None, 0, 2, 2], [False, False, False, True, True], "ink")
    svg = draw(bars=bars, title="t", description="d").svg
    assert 'class="bars ink" d="M0 240v-240h3v240z"' in svg
    assert 'class="bars ink guess" d="M12 120h8v120h-8z"' in svg


def test_limits_and_now_by_hand() -> None:
    limit = Limit("at least", 50, "k1")
    svg = draw(
        lines=[Line("x", [50, 60], "l1")], limits=[limit], title="t", description="d", from_zero=False, now=1
    ).svg
    assert 'class="limit k1" d="M0 240h8"' in svg  # 50 is the foot of the scale
    assert 'class="now" d="M4 0v240"' in svg
    assert "zero" not in svg


@given(st.floats(-30, 90), st.floats(0, 20))
def test_temperatures_have_a_scale_of_their_own(lowest: float, span: float) -> None:
    axis = scale(lowest, lowest + span, from_zero=False)
    assert axis.bottom <= lowest + 1e-6 and lowest + span <= axis.top + 1e-6
    assert 2 <= len(axis.ticks) <= 8
    assert axis.top - axis.bottom <= 3 * max(span, 1)
