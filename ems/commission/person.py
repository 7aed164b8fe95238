"""Who is asked: somebody at the terminal, or a file of answers for a rehearsal."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Protocol

import yaml
from rich.console import Console
from rich.prompt import Confirm, Prompt

_KEYS = {"second", "write", "value", "seen", "remark"}


class AnswersError(ValueError):
    """A file of answers that cannot be used."""


class Person(Protocol):
    """Everything that a walk asks. `point` is what it is about."""

    def second(self, point: str, shown: str, unit: str) -> str:
        """The reading of a second source: a number, another point's name, or nothing where there is none."""

    def may_write(self, point: str, value: float, shown: str) -> float | None:
        """What to write, `value` or another one; None without a yes."""

    def seen(self, point: str, value: float) -> str:
        """Whether the device did it, in words: yes, no, or nothing where nobody looked."""

    def remark(self, point: str, why: str) -> str:
        """What there is to say about a point that did not pass; may be nothing."""

    def name(self) -> str:
        """The name to sign with; nothing does not sign."""

    def tell(self, text: str, style: str = "") -> None:
        """Something to read."""


class Terminal:
    """Somebody who answers."""

    def __init__(self, out: Console) -> None:
        self.out = out

    def second(self, point: str, shown: str, unit: str) -> str:
        what = f"What does the other source show, in {unit}? " if unit else "What does the other source show? "
        return Prompt.ask(
            f"  {what}[dim](a number, another point's name, Enter for none)[/]", console=self.out, default=""
        ).strip()

    def may_write(self, point: str, value: float, shown: str) -> float | None:
        if not Confirm.ask(f"  {shown}: write {value:g}, and give it back after?", console=self.out, default=False):
            return None
        other = Prompt.ask("  Another value?", console=self.out, default=f"{value:g}")
        try:
            return float(other)
        except ValueError:
            self.tell(f"  {other!r} is no number; nothing is written", "yellow")
            return None

    def seen(self, point: str, value: float) -> str:
        return Prompt.ask(
            f"  It stands at {value:g}. Does the device do it?", console=self.out, choices=["yes", "no", ""], default=""
        )

    def remark(self, point: str, why: str) -> str:
        return Prompt.ask("  Remark", console=self.out, default="").strip()

    def name(self) -> str:
        return Prompt.ask("Sign with your name (Enter: not yet)", console=self.out, default="").strip()

    def tell(self, text: str, style: str = "") -> None:
        self.out.print(text, style=style, highlight=False)


class Answers:
    """A file: `sign: NAME`, and `points:` with patterns of points, each with second, write, value, seen, remark.

    The first pattern that fits a point answers all that is asked about it. What is not answered is not done.
    """

    def __init__(self, path: Path, out: Console) -> None:
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as fault:
            raise AnswersError(f"{path} cannot be read: {fault}") from None
        if not isinstance(content, dict) or set(content) - {"sign", "points"}:
            raise AnswersError(f"{path} holds other keys than `sign` and `points`; give those")
        points = content.get("points") or {}
        for pattern, answers in points.items():
            if not isinstance(answers, dict) or (unknown := set(answers) - _KEYS):
                wrong = "no mapping" if not isinstance(answers, dict) else f"{', '.join(sorted(unknown))}"
                raise AnswersError(f"{path}: {pattern} has {wrong}; give {', '.join(sorted(_KEYS))}")
            if not isinstance(answers.get("write", False), bool):
                raise AnswersError(f"{path}: {pattern}.write is {answers['write']!r}; write true or false")
        self.points: Mapping[str, Mapping[str, Any]] = points
        self.signs = str(content.get("sign") or "")
        self.out = out

    def _of(self, point: str) -> Mapping[str, Any]:
        return next((a for pattern, a in self.points.items() if fnmatchcase(point, pattern)), {})

    def second(self, point: str, shown: str, unit: str) -> str:
        given = self._of(point).get("second")
        return "" if given is None else str(given)

    def may_write(self, point: str, value: float, shown: str) -> float | None:
        answers = self._of(point)
        return float(answers.get("value", value)) if answers.get("write") is True else None

    def seen(self, point: str, value: float) -> str:
        return str(self._of(point).get("seen", ""))

    def remark(self, point: str, why: str) -> str:
        return str(self._of(point).get("remark", ""))

    def name(self) -> str:
        return self.signs

    def tell(self, text: str, style: str = "") -> None:
        self.out.print(text, style=style, highlight=False)
