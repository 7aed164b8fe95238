"""The wheel carries the default district and scenarios, and reads them from within."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ems import defaults

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    built = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = folder.glob("smartseille_ems-*.whl")
    return path


def test_holds_everything_that_version_control_holds(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "ems/py.typed" in names
    for source, target in (
        ("buildings", "ems/defaults/buildings"),
        ("scenarios", "ems/defaults/scenarios"),
        ("ems", "ems"),
    ):
        listed = subprocess.run(
            ["git", "ls-files", source], cwd=PROJECT, capture_output=True, text=True, check=False
        ).stdout.splitlines()
        missing = [
            line for line in listed if (PROJECT / line).exists() and target + line.removeprefix(source) not in names
        ]
        assert not missing, f"not in the wheel: {', '.join(missing)}"
    licences = [n for n in names if n.endswith("licenses/LICENSE")]
    assert licences, "the licence travels with the wheel"


def test_reads_the_district_from_within(wheel: Path, tmp_path: Path) -> None:
    """Unpacked elsewhere, as pip would, and run from there: nothing of the checkout is on the path."""
    zipfile.ZipFile(wheel).extractall(tmp_path)
    script = (
        "from ems.defaults import folder; from ems.district import read_district; import ems;"
        "print(ems.__file__, folder('buildings'), len(read_district(folder('buildings')).dwellings))"
    )
    # -S leaves out site-packages with its link to this checkout; the locked packages are then named by hand.
    packages = [p for p in sys.path if p.endswith("site-packages")]
    path = ":".join([str(tmp_path), *packages])
    ran = subprocess.run(
        [sys.executable, "-S", "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    module, buildings, dwellings = ran.stdout.split()
    assert Path(module).is_relative_to(tmp_path) and Path(buildings) == tmp_path / "ems" / "defaults" / "buildings"
    assert dwellings == "385"


def test_a_checkout_finds_its_own_folders() -> None:
    assert defaults.folder("buildings") == PROJECT / "buildings"
    with pytest.raises(FileNotFoundError, match=r"no folder cellars in .*; pass the folder yourself"):
        defaults.folder("cellars")
