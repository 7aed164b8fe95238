"""What would it cost if? Managers ask, the planner answers in a process of its own, two plans stand side by side.

The pages solve nothing: a question goes into the site's folder (`ems.store.questions`), its answer comes from there.
"""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Response
from starlette.exceptions import HTTPException

from ems.assets import Plant
from ems.slots import Slots
from ems.store import People
from ems.store.questions import Answer, Question, Questions, What
from ems.store.requests import RequestError
from ems.web.access import Permission
from ems.web.chart import Line, draw
from ems.web.figures import Figure, marks, ticks
from ems.web.pages import Pages, Visit
from ems.web.words import Words

SHOWN = 20
# What can be asked of the whole district: (what, by how much, in words).
CHOICES: tuple[tuple[What, float, str], ...] = (
    ("price", 0.8, "Energy a fifth cheaper"),
    ("price", 1.2, "Energy a fifth dearer"),
    ("price", 1.5, "Energy half as dear again"),
    ("price", 2.0, "Energy twice as dear"),
    ("battery", 0.0, "No batteries"),
    ("battery", 2.0, "Batteries twice as large"),
    ("sun", 0.0, "No roofs with sun"),
    ("sun", 2.0, "Twice as many roofs with sun"),
    ("comfort", -1.0, "The homes' band one degree lower"),
    ("comfort", 1.0, "The homes' band one degree higher"),
)


@dataclass(frozen=True)
class Term:
    """One line of the comparison, euro."""

    name: str
    now: float
    asked: float

    @property
    def more(self) -> float:
        return self.asked - self.now


class Scenarios:
    """Adds the pages of questions."""

    def __init__(self, pages: Pages, people: People) -> None:
        self.pages = pages
        self.people = people
        pages.route("/manager/scenarios", Permission.MANAGER, self.show)
        pages.route("/manager/scenarios", Permission.MANAGER, self.ask, "POST")
        pages.route("/manager/scenarios/{number}", Permission.MANAGER, self.one)

    def show(self, visit: Visit) -> Response:
        return self._show(visit)

    def _show(self, visit: Visit, trouble: str = "", status: int = 200) -> Response:
        questions = None if self.pages.folder is None else Questions(self.pages.folder)
        asked = [] if questions is None else [(q, questions.answer_of(q.number)) for q in questions.last(SHOWN)]
        return self.pages.page(
            visit,
            "manager_scenarios.html",
            status=status,
            trouble=trouble,
            may=questions is not None,
            choices=[(f"{what}:{amount:g}", text) for what, amount, text in CHOICES],
            plants=list(self.pages.district.of(Plant)),
            asked=asked,
            titled=lambda q: titled(q, self.pages, visit.words),
        )

    def ask(self, visit: Visit) -> Response:
        if self.pages.folder is None:
            raise HTTPException(404)
        chosen = visit.given("what", 100)
        what, subject, amount = self._chosen(chosen)
        try:
            number = Questions(self.pages.folder).ask(what, subject, amount, visit.who.name, self.pages.now())
        except RequestError:
            return self._show(visit, visit.words.text("Too many questions wait. Ask again when one is answered."), 422)
        self.people.note(visit.who, "what if asked", None, self.pages.clock(), chosen)
        return visit.to(f"/manager/scenarios/{number}")

    def _chosen(self, chosen: str) -> tuple[What, str, float]:
        for what, amount, _ in CHOICES:
            if f"{what}:{amount:g}" == chosen:
                return what, "", amount
        kind, _, plant = chosen.partition(":")
        if kind != "plant" or plant not in self.pages.district.of(Plant):
            raise HTTPException(422)
        return "plant", plant, 0.0

    def one(self, visit: Visit, number: str) -> Response:
        question, answer = self._found(number)
        return self.pages.page(
            visit,
            "manager_scenario.html",
            question=question,
            answer=answer,
            title=titled(question, self.pages, visit.words),
            terms=[] if answer is None else terms(answer),
            figure=None if answer is None else _figure(answer, visit.words),
        )

    def _found(self, number: str) -> tuple[Question, Answer | None]:
        if self.pages.folder is None or not number.isascii() or not number.isdigit() or len(number) > 9:
            raise HTTPException(404)
        questions = Questions(self.pages.folder)
        question = questions.one(int(number))
        if question is None:
            raise HTTPException(404)
        return question, questions.answer_of(question.number)


def titled(question: Question, pages: Pages, words: Words) -> str:
    """A question in words."""
    match question.what:
        case "hold":
            asset, _, quantity = question.subject.rpartition("/")
            return words.text(
                "{asset}, {quantity} held at {value}",
                asset=pages.asset_name(asset, words),
                quantity=words.quantity(quantity),
                value=words.value(quantity, question.amount),
            )
        case "plant":
            return words.text("{plant} out of service", plant=pages.asset_name(question.subject, words))
    known = (text for what, amount, text in CHOICES if (what, amount) == (question.what, question.amount))
    return words.text(next(known, question.what))


def terms(answer: Answer) -> list[Term]:
    """Every term of the cost that differs or matters, what differs most first."""
    if answer.trouble:
        return []
    now, asked = (answer.cases[name].terms for name in ("now", "asked"))
    both = [Term(term, now.get(term, 0.0), asked.get(term, 0.0)) for term in dict.fromkeys([*now, *asked])]
    return sorted((t for t in both if abs(t.now) >= 0.5 or abs(t.asked) >= 0.5), key=lambda t: -abs(t.more))


def _figure(answer: Answer, words: Words) -> Figure | None:
    """The grid in both plans."""
    if answer.trouble or answer.start is None:
        return None
    now, asked = (answer.cases[name] for name in ("now", "asked"))
    slots = Slots(answer.start, len(now.grid_kw), answer.minutes)
    title = words.text("Power from the grid, without the homes' own meters, kW")
    told = words.text(
        "At most {now} as it is, {asked} as asked.", now=words.power(now.peak_kw), asked=words.power(asked.peak_kw)
    )
    lines = [Line(words.text("as it is"), now.grid_kw, "l1"), Line(words.text("as asked"), asked.grid_kw, "l2")]
    chart = draw(lines=lines, title=title, description=told)
    legend = [(line.ink, line.label) for line in lines]
    return Figure(chart, ticks(chart, words), marks(slots, words), legend, title, told)
