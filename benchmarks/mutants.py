"""How well the tests guard what must not fail: small faults put into its source, one at a time, and who notices.

    python benchmarks/mutants.py                       all targets; a quarter of an hour of one core and more
    python benchmarks/mutants.py --target envelope --sample 40 --seed 2
    python benchmarks/mutants.py --json                one JSON line at the end

A fault (mutant) turns a comparison, an arithmetic or logical operator, a constant, a word or a returned value into
another one, or leaves a call or a `raise` out. Words are plain strings without a blank; sentences and SQL are left
alone: a torn statement is found by any test and would flatter the score. So are docstrings, annotations, assertions.
The target's own tests are collected once; each mutant runs them in a fork, and a survivor is a fault none notices.
`equivalent_mutants.yaml` names those that change nothing anybody could notice, each with its reason; they are counted
apart, and an entry that no longer fits is told. The score is the share killed of all others.
"""

from __future__ import annotations

import argparse
import ast
import copy
import difflib
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import settings

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT))

from tests.served_district import whole_district  # noqa: E402

EQUIVALENT = Path(__file__).with_name("equivalent_mutants.yaml")
LONGEST_CPU_S = 60  # of one mutant: one that turns in circles is noticed, however busy the machine
LONGEST_S = 900  # and so is one that waits for ever


@dataclass(frozen=True)
class Target:
    """A module, and the tests that owe it their attention, the quick ones first."""

    module: str
    tests: tuple[str, ...]
    options: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        return PROJECT.joinpath(*self.module.split(".")).with_suffix(".py")


TARGETS = {
    "envelope": Target("ems.envelope", ("tests/test_envelope.py",)),
    "permit": Target("ems.dispatch.permit", ("tests/dispatch/test_dispatch.py",)),
    "due": Target("ems.dispatch.due", ("tests/dispatch/test_dispatch.py",)),
    "verify": Target("ems.dispatch.verify", ("tests/dispatch/test_dispatch.py",)),
    "journal": Target("ems.store.journal", ("tests/store/test_journal.py",), ("-k", "not postgresql")),
}


@dataclass(frozen=True)
class Mutant:
    """A fault: what its line was and is, in which function, and the tree with it."""

    where: str
    change: str
    tree: ast.Module

    @property
    def name(self) -> str:
        return f"{self.where}: {self.change}"


# Making mutants

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.BitOr: ast.BitAnd, ast.Pow: ast.Mult,
}  # fmt: skip


def _others(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand in a node's place."""
    match node:
        case ast.Compare(left, ops, comparators):
            for i, op in enumerate(ops):
                for other in _COMPARISONS.get(type(op), ()):
                    yield ast.Compare(left, [*ops[:i], other(), *ops[i + 1 :]], comparators)
        case ast.BinOp(left, op, right) if type(op) in _ARITHMETIC:
            yield ast.BinOp(left, _ARITHMETIC[type(op)](), right)
        case ast.AugAssign(target, op, value) if type(op) in _ARITHMETIC:
            yield ast.AugAssign(target, _ARITHMETIC[type(op)](), value)
        case ast.BoolOp(op, values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
        case ast.UnaryOp(ast.Not() | ast.USub(), operand):
            yield operand
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() | float() as value):
            yield ast.Constant(value + 1)
        case ast.Constant(str() as value) if value and not any(c.isspace() for c in value):
            yield ast.Constant(value + "?")
        case ast.If(test, body, orelse) if not isinstance(test, ast.Compare | ast.UnaryOp):
            yield ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.IfExp(test, body, orelse) if not isinstance(test, ast.Compare | ast.UnaryOp):
            yield ast.IfExp(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.Return(ast.Constant(None)):
            yield ast.Return(ast.Constant("a mutant"))
        case ast.Return(value) if value is not None:
            yield ast.Return(ast.Constant(None))
        case ast.Expr(ast.Call()) | ast.Raise() | ast.Continue() | ast.Break():
            yield ast.Pass()


def mutants(source: str) -> list[Mutant]:
    """Every fault of one source, in the order of its lines."""
    tree = ast.parse(source)
    plain = ast.unparse(tree).splitlines()
    found = []
    for path, where in _places(tree):
        for other in _others(_at(tree, path)):
            changed = copy.deepcopy(tree)
            _put(changed, path, copy.deepcopy(other))
            ast.fix_missing_locations(changed)
            found.append(Mutant(where, _difference(plain, ast.unparse(changed).splitlines()), changed))
    return _numbered(found)


def _numbered(found: list[Mutant]) -> list[Mutant]:
    """Two faults of one function may read alike; the later ones get a number."""
    times: dict[str, int] = {}
    unique = []
    for mutant in found:
        times[mutant.name] = nth = times.get(mutant.name, 0) + 1
        unique.append(mutant if nth == 1 else Mutant(mutant.where, f"{mutant.change} ({nth})", mutant.tree))
    return unique


Path_ = tuple[tuple[str, int | None], ...]
_NOT_INTO = {"annotation", "returns", "decorator_list", "type_params", "bases"}


def _places(node: ast.AST, path: Path_ = (), where: str = "module") -> Iterator[tuple[Path_, str]]:
    """The way to every node that may be mutated, and the function it is in."""
    if isinstance(node, ast.Assert | ast.Import | ast.ImportFrom | ast.JoinedStr):
        return
    if isinstance(node, ast.Assign) and where == "module":
        is_type = isinstance(node.value, ast.Subscript) or getattr(node.targets[0], "id", "") == "T"
        if is_type or getattr(node.targets[0], "id", "") == "__all__":
            return
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        where = node.name if where == "module" else f"{where}.{node.name}"
    if path:
        yield path, where
    for name, value in ast.iter_fields(node):
        if name in _NOT_INTO:
            continue
        for i, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(child, ast.AST):
                continue
            is_text = isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
            if not is_text:
                yield from _places(child, (*path, (name, i)), where)


def _at(tree: ast.AST, path: Path_) -> ast.AST:
    node: Any = tree
    for name, i in path:
        node = getattr(node, name) if i is None else getattr(node, name)[i]
    found: ast.AST = node
    return found


def _put(tree: ast.AST, path: Path_, other: ast.AST) -> None:
    parent, (name, i) = _at(tree, path[:-1]), path[-1]
    if i is None:
        setattr(parent, name, other)
    else:
        getattr(parent, name)[i] = other


def _difference(before: list[str], after: list[str]) -> str:
    lines = [line for line in difflib.unified_diff(before, after, n=0, lineterm="") if line[:3] not in ("---", "+++")]
    old = " ".join(line[1:].strip() for line in lines if line.startswith("-"))
    new = " ".join(line[1:].strip() for line in lines if line.startswith("+"))
    return f"{old} -> {new}"


# Trying them


def transplant(module: types.ModuleType, tree: ast.Module, path: Path) -> None:
    """Gives a module that others have imported already the code of another source, functions and constants in place."""
    fresh = {"__name__": module.__name__, "__package__": module.__package__, "__file__": str(path)}
    exec(compile(tree, str(path), "exec"), fresh)
    for name, new in fresh.items():
        old = module.__dict__.get(name)
        if isinstance(new, types.FunctionType) and isinstance(old, types.FunctionType):
            _graft(old, new)
        elif isinstance(new, type) and isinstance(old, type) and new.__module__ == module.__name__:
            for key, member in vars(new).items():
                _graft_member(old, key, member)
        elif not name.startswith("__") and not isinstance(new, types.ModuleType | type):
            module.__dict__[name] = new


def _graft(old: types.FunctionType, new: types.FunctionType) -> None:
    old.__code__, old.__defaults__, old.__kwdefaults__ = new.__code__, new.__defaults__, new.__kwdefaults__


def _graft_member(old_class: type, key: str, new: object) -> None:
    old = vars(old_class).get(key)
    if isinstance(new, types.FunctionType) and isinstance(old, types.FunctionType):
        _graft(old, new)
    elif isinstance(new, property) and isinstance(old, property):
        assert isinstance(old.fget, types.FunctionType) and isinstance(new.fget, types.FunctionType)
        _graft(old.fget, new.fget)
    elif not key.startswith("__") and isinstance(new, int | float | str | bool | type(None)):
        setattr(old_class, key, new)


class Bench:
    """The collected tests of a target; `try_out` runs them in a fork with a fault in the module."""

    def __init__(self, target: Target, work: Callable[[Bench], None]) -> None:
        self.target = target
        self._work = work
        self._module = importlib.import_module(target.module)
        self._items: list[pytest.Item] = []
        self._folder = Path()

    def run(self) -> None:
        """Collects the tests and does the work between collection and end."""
        with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
            self._folder = Path(folder) / "base"
            options = ["-q", "-s", "-p", "no:cacheprovider", "--no-header", "--no-summary", "-W", "ignore"]
            pytest.main([*options, f"--basetemp={self._folder}", *self.target.options, *self.target.tests], [self])

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        # Examples first: what they do not notice, properties may, and take their time.
        self._items = sorted(session.items, key=lambda item: hasattr(getattr(item, "obj", None), "hypothesis"))
        self._work(self)
        return True

    def try_out(self, mutant: Mutant | None) -> bool:
        """Whether every test passes with the fault (with None, without). Who noticed is asked first the next time."""
        ours, theirs = os.pipe()
        child = os.fork()
        if child == 0:
            told = -1  # a fault of the module as a whole: nobody in particular
            try:
                signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST_CPU_S)
                signal.alarm(LONGEST_S)
                quiet = os.open(os.devnull, os.O_WRONLY)
                os.dup2(quiet, 1)
                os.dup2(quiet, 2)
                if mutant is not None:
                    transplant(self._module, mutant.tree, self.target.path)
                told = self._noticed()
            finally:
                os.write(theirs, str(told).encode())
                os._exit(0)
        os.close(theirs)
        with os.fdopen(ours) as answer:
            said = answer.read()
        os.waitpid(child, 0)
        shutil.rmtree(self._folder, ignore_errors=True)
        if said == "":  # it hung, or fell
            return False
        number = int(said)
        if 0 <= number < len(self._items):
            self._items.insert(0, self._items.pop(number))
        return number == len(self._items)

    def _noticed(self) -> int:
        """The number of the first test that fails; as many as there are when all pass."""
        for i, item in enumerate(self._items):
            item.session.testsfailed = 0
            following = self._items[i + 1] if i + 1 < len(self._items) else None
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if item.session.testsfailed:
                return i
        return len(self._items)


def warm() -> None:
    """The same examples for every mutant, and no file of them; what all tests read, once."""
    settings.register_profile("mutants", derandomize=True, database=None, deadline=None)
    settings.load_profile("mutants")
    whole_district()


def measure(name: str, sample: int | None, seed: int, say: Callable[[str], None]) -> dict[str, Any]:
    """The figures of one target."""
    target, began = TARGETS[name], time.perf_counter()
    excused: dict[str, str] = (yaml.safe_load(EQUIVALENT.read_text()) or {}).get(name) or {}
    everything = mutants(target.path.read_text())
    chosen = everything
    if sample is not None and sample < len(everything):
        chosen = random.Random(seed).sample(everything, sample)
    survivors: list[str] = []
    wrong: list[str] = sorted(set(excused) - {m.name for m in everything})
    equivalent = 0

    def work(bench: Bench) -> None:
        nonlocal equivalent
        if not bench.try_out(None):
            raise SystemExit(f"{name}: its tests fail without any fault; mend them first")
        for i, mutant in enumerate(chosen, 1):
            alive = bench.try_out(mutant)
            if alive and mutant.name in excused:
                equivalent += 1
            elif alive:
                survivors.append(mutant.name)
                say(f"{name} {i}/{len(chosen)} survives: {mutant.name}")
            elif mutant.name in excused:
                wrong.append(mutant.name)

    Bench(target, work).run()
    counted = len(chosen) - equivalent
    return {
        "target": name,
        "mutants": len(chosen),
        "of": len(everything),
        "killed": counted - len(survivors),
        "survived": len(survivors),
        "equivalent": equivalent,
        "score": round(100 * (counted - len(survivors)) / counted, 1) if counted else 100.0,
        "survivors": survivors,
        "wrong_excuses": wrong,
        "seconds": round(time.perf_counter() - began, 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", choices=TARGETS, action="append", help="one or more; all of them without")
    parser.add_argument("--sample", type=int, help="so many mutants of each target, drawn by the seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--least", type=float, default=95.0, help="exit with 1 when a score is below, percent")
    parser.add_argument("--json", action="store_true", help="nothing but one JSON line")
    asked = parser.parse_args()
    os.chdir(PROJECT)
    warm()
    say = (lambda text: None) if asked.json else (lambda text: print(text, flush=True))
    found = []
    for name in asked.target or TARGETS:
        found.append(measure(name, asked.sample, asked.seed, say))
        one = found[-1]
        say(f"{name}: {one['score']} % of {one['mutants']} killed, {one['equivalent']} equivalent, {one['seconds']} s")
        for wrong in one["wrong_excuses"]:
            say(f"{name}: an entry of {EQUIVALENT.name} does not fit any more: {wrong}")
    if asked.json:
        print(json.dumps({"targets": found}))
    bad = [one for one in found if one["score"] < asked.least or one["wrong_excuses"]]
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
