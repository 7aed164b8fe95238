"""What every asset has in common: a name, a kind, and the file it was read from says the rest.

An asset type is one file in this folder: its data, the planner's law as functions, its Pyomo rules over the whole
fleet, and `actuate`. The list of types stands in `ems/assets/__init__.py`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Celsius = Annotated[float, Field(ge=-30, le=120)]


class Entry(BaseModel):
    """A part of a YAML file: unknown keys are refused, `yes` is no number, and what was read does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Asset(Entry):
    """One asset. `name` is `building/asset`, set when the district is read; references to other assets likewise.

    `note` holds the source of the figures, or says that they are an assumption.
    """

    name: str = ""
    note: str = ""

    @property
    def building(self) -> str:
        return self.name.partition("/")[0]

    def point(self, quantity: str) -> str:
        return f"{self.name}/{quantity}"
