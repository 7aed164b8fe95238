"""An outline: a Pyomo block whose variables, numbers and rules are declared as ever and never made one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.core.base.block import BlockData, declare_custom_block

from ems.assets.tables import Table
from ems.series import Floats


@declare_custom_block("Outline")
class OutlineData(BlockData):  # type: ignore[misc]
    """A Pyomo block whose variables, numbers and rules are declared and never made one by one."""

    def add_component(self, name: str, val: Any) -> None:
        table = isinstance(val, pyo.Param) and isinstance(getattr(val._rule, "_dict", None), Table)
        if table or isinstance(val, pyo.Constraint) or (isinstance(val, pyo.Var) and val.is_indexed()):
            val.index_set().construct()
            val._constructed = True  # Pyomo then leaves it as it is: its rule is read by `lower`, not called by index
        super().add_component(name, val)


def outline_block() -> Any:
    """An empty block to stand in a model where `pyo.Block()` would."""
    return Outline()  # type: ignore[name-defined]  # noqa: F821 - the decorator above makes it


def numbers(parameter: Any) -> Floats:
    """The numbers of a Param, in an outline or an ordinary model, shaped like its index.

    Raises ValueError when it has none, or not as many as its index.
    """
    sets = list(parameter.index_set().subsets()) if parameter.is_indexed() else []
    shape = tuple(len(s) for s in sets)
    rule = parameter._rule
    given = getattr(rule, "_dict", None)
    if rule is None:
        raise ValueError(f"{family_name(parameter)} has no numbers; give it `initialize`")
    if isinstance(given, Table):
        values = given.array
    elif rule.constant():
        values = np.full(shape, float(rule(None, None)))
    else:
        block = parameter.parent_block()
        values = np.array([float(rule(block, index)) for index in parameter.index_set()]).reshape(shape)
    if values.size == 0 and 0 in shape:
        values = values.reshape(shape)  # of no names it is not known how many values each would have
    if values.shape != shape:
        raise ValueError(f"{family_name(parameter)} has numbers of shape {values.shape} for an index of {shape}")
    return values


def family_name(component: Any) -> str:
    """The name under which a component's family stands: block and component, the model's own name left out."""
    return f"{component.parent_block().local_name}.{component.local_name}"
