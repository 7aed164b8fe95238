"""The colours of the pages: they stand out from their paper, and from each other for every kind of eye."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from ems.series import Floats

STYLE = Path(__file__).parents[2] / "ems" / "web" / "static" / "style.css"
WORDS = ("ink", "quiet", "link", "good", "bad", "warn")
INKS = ("grid", "sun", "battery", "heat", "cars", "buildings", "homes")

# Machado, Oliveira, Fernandes 2009, severity 1.0, on linear RGB.
EYES = {
    "ordinary": np.eye(3),
    "protan": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                        [-0.003882, -0.048116, 1.051998]]),
    "deutan": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                        [-0.011820, 0.042940, 0.968881]]),
    "tritan": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                        [0.004733, 0.691367, 0.303900]]),
}  # fmt: skip

# Ottosson 2020, "A perceptual color space for image processing": linear sRGB to OKLab.
TO_CONES = np.array([[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
                     [0.0883024619, 0.2817188376, 0.6299787005]])  # fmt: skip
TO_LAB = np.array([[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
                   [0.0259040371, 0.7827717662, -0.8086757660]])  # fmt: skip


def themes() -> list[dict[str, str]]:
    """The colours of the light and of the dark theme, by name, as #rrggbb."""
    found = []
    for block in STYLE.read_text().split(":root{")[1:3]:
        pairs = [part.split(":") for part in block.split("}")[0].split(";") if part.strip().startswith("--")]
        theme = {name.strip()[2:]: value.strip() for name, value in pairs}
        found.append({k: "#" + "".join(2 * c for c in v[1:]) if len(v) == 4 else v for k, v in theme.items()})
    return found


def linear(colour: str) -> Floats:
    parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    low, high = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (one, other))
    return (high + 0.05) / (low + 0.05)


def distance(one: str, other: str, eye: Floats) -> float:
    """How far apart an eye sees two colours: OKLab times 100."""
    a, b = (TO_LAB @ np.cbrt(TO_CONES @ np.clip(eye @ linear(c), 0, 1)) for c in (one, other))
    return 100 * float(np.linalg.norm(a - b))


@pytest.mark.parametrize("theme", themes(), ids=["light", "dark"])
def test_colours_stand_out_from_their_paper(theme: dict[str, str]) -> None:
    """WCAG 1.4.3 and 1.4.11: 4.5 to 1 for words, 3 to 1 for what is drawn."""
    for ink in WORDS:
        assert min(contrast(theme[ink], theme[paper]) for paper in ("paper", "card")) >= 4.5, ink
    for ink in INKS:
        assert contrast(theme[ink], theme["paper"]) >= 3, ink


@pytest.mark.parametrize("theme", themes(), ids=["light", "dark"])
@pytest.mark.parametrize("eye", list(EYES))
def test_inks_are_told_apart_by_every_eye(theme: dict[str, str], eye: str) -> None:
    near = {(a, b): distance(theme[a], theme[b], EYES[eye]) for a, b in itertools.combinations(INKS, 2)}
    assert {pair: round(far, 1) for pair, far in near.items() if far < 12} == {}


def test_a_distance_is_as_ottosson_says() -> None:
    """White is L 1, black L 0: a hundred apart."""
    assert distance("#ffffff", "#000000", EYES["ordinary"]) == pytest.approx(100, abs=0.1)
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
