"""The price at which an offer enters the LP bound, or leaves it: from the bound itself, as a function of that price.

With all else as it is the bound is a concave function of one price, which rises until the offer is bought no more, and
is flat from there. Where the flat part begins is the price of entry: Newton's method from below, as each solution says
at which price it would break even, and the next one is no cheaper there. A reduced cost alone does not say it: in a
pool of which nothing is bought, machines have no one value, and columns enter together.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from planner.errors import NoPlan, SolverError
from planner.plan.in_hand import Plan
from planner.problem.algebra import as_expression
from planner.problem.arrays import merged
from planner.problem.build import build
from planner.problem.problem import Problem
from planner.problem.rules.costs import cost_usd
from planner.questions.explain_bound import close_usd, is_by_hours, solved_bound
from planner.questions.planned import silent
from planner.solve.interchangeable import reduced
from planner.solve.lp_bound import enter_what_breaks
from planner.solve.program import bounds_restored
from planner.solve.search import Effort, Infeasible, Progress, Search
from planner.study.dependencies import NORMAL
from planner.study.records.study import Study

LEAST_FRACTION = 0.01
"""Share of its price from which an entry is looked for: what does not enter there enters at no price."""
BESIDE_FRACTION = 1e-3
"""How far below and above a price of entry it is confirmed."""
MOST_STEPS = 40
USED_HOURS = 1e-6
"""Machine-hours below which an offer is not bought, as a share of the horizon."""
BY_HOURS = "the bound of many hours is solved hour by hour"
Use = Literal["bought", "would enter", "at no price", "at any price", "not worked out"]
INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class EntryPrice:
    """At which price an offer enters the LP bound, with all other prices as they are.

    Parameters
    ----------
    use : bought: at its price; would enter: below `entry`; at no price: not even at a hundredth of its own;
        at any price: without it there is no plan; not worked out: see `why`
    price_usd_per_machine_hour : what it costs in the first period in which it may start
    entry_usd_per_machine_hour : below it the bound buys it, above it does not
    below_machine_hours, above_machine_hours : what the bound buys just below and just above that price, of the horizon:
        what confirms it, solved again at both
    without_usd : what the bound is above that of the plan where the offer cannot be bought [USD over the horizon]
    """

    offer: str
    use: Use
    price_usd_per_machine_hour: float
    entry_usd_per_machine_hour: float | None = None
    below_machine_hours: float | None = None
    above_machine_hours: float | None = None
    without_usd: float | None = None
    why: str = ""

    @property
    def beyond_fraction(self) -> float | None:
        """By which share the entry is above the offer's price; below zero: it would have to cost less."""
        if self.entry_usd_per_machine_hour is None or self.price_usd_per_machine_hour <= 0:
            return None
        return self.entry_usd_per_machine_hour / self.price_usd_per_machine_hour - 1

    @property
    def is_confirmed(self) -> bool:
        """Whether the bound buys it below and not above, each solved again."""
        below, above = self.below_machine_hours, self.above_machine_hours
        return below is not None and above is not None and below > 0 and above == 0


def entry_prices(plan: Plan, offers: list[str], progress: Progress = silent) -> list[EntryPrice]:
    """The prices at which offers of a plan enter its LP bound, each by itself.

    Raises
    ------
    Infeasible
        when the study inside the plan has no plan: the file was changed by hand
    """
    if not offers:
        return []
    entries: list[EntryPrice] = []
    if is_by_hours(Search(_without_budget(plan.problem), Effort(), None, progress)):
        return [_not_worked_out(plan.problem, b, BY_HOURS) for b in offers]
    try:
        search = solved_bound(_without_budget(plan.problem), plan.file.proof.binding_failures, progress)
        for n, b in enumerate(offers):
            progress("solving the bound at other prices", n / len(offers), b)
            entries.append(_entry_price(plan, search, b))
    except KeyboardInterrupt:
        entries += [_not_worked_out(plan.problem, b, INTERRUPTED) for b in offers[len(entries) :]]
    return entries


def _not_worked_out(p: Problem, b: str, why: str) -> EntryPrice:
    return EntryPrice(b, "not worked out", _first_price(p, b)[0], why=why)


def _first_price(p: Problem, b: str) -> tuple[float, float]:
    """What an offer costs in the first period in which it may start [USD/h], and that over its list price."""
    factor = next((p.price_factor.get((b, t), 1.0) for t in p.periods if p.may_start(b, t)), 1.0)
    return p.price_usd_per_machine_hour[b] * factor, factor


def _without_budget(p: Problem) -> Problem:
    """The problem without its budget: costs are minimised, so it decides whether there is a plan, not which."""
    return replace(p, budget_usd=None)


def _entry_price(plan: Plan, search: Search, b: str) -> EntryPrice:
    p = search.p
    price, factor = _first_price(p, b)
    if any(b in year.offers for year in p.spend_years):
        return EntryPrice(b, "not worked out", price, why="its price counts towards a spend commitment")
    try:
        return _Priced(plan, search, b).entry(price, factor)
    except (NoPlan, SolverError) as error:
        return EntryPrice(b, "not worked out", price, why=str(error).partition("\n")[0])


class _Priced:
    """The linear program of a search with the price of one offer moved; afterwards all is as it was.

    Parameters
    ----------
    hours : machine-hours of each column, discounted: what a USD more of the list price adds to the cost
    """

    def __init__(self, plan: Plan, search: Search, b: str) -> None:
        self.search, self.b = search, b
        self.base = search.objective
        self.base_price = search.p.price_usd_per_machine_hour[b]
        dearer = build(_with_price(plan.study, b, self.base_price + 1.0), plan.file.demand_case)
        dearer = reduced(dearer).p if dearer.waiting is None else dearer
        self.per_usd = cost_usd(merged(dearer)(NORMAL), search.x) - cost_usd(search.arrays_of(NORMAL), search.x)
        one = as_expression(self.per_usd).combined(search.program.n)
        matters = np.abs(one.value) > USED_HOURS
        self.columns, self.hours = one.column[matters], one.value[matters]
        self.least_hours = USED_HOURS * sum(search.p.hours_in[t] for t in search.p.periods)

    def entry(self, price: float, factor: float) -> EntryPrice:
        """The price of entry; prices are what is paid, `factor` times the list price."""
        search, offer = self.search, self.b
        try:
            with_usd, _ = self.solved(self.base_price)
            try:
                without_usd = self.without()
            except Infeasible:
                return EntryPrice(offer, "at any price", price)
            close, more_usd = close_usd(search), max(0.0, without_usd - with_usd)
            list_entry = self._newton(self.base_price if more_usd > close else None, without_usd, close)
            if list_entry is None:
                return EntryPrice(offer, "at no price", price, without_usd=more_usd)
            use: Use = "bought" if more_usd > close else "would enter"
            below, above = (self.solved(list_entry * (1 + side * BESIDE_FRACTION))[1] for side in (-1, 1))
            return EntryPrice(offer, use, price, list_entry * factor, below, above, more_usd)
        finally:
            search.objective = self.base
            search.minimise()
            search.bound = search.bound if search.program.solve() != "optimal" else search.program.objective

    def _newton(self, start: float | None, without_usd: float, close: float) -> float | None:
        """The list price from which on the bound is as without the offer; None: from the least that is looked at."""
        list_price = LEAST_FRACTION * self.base_price if start is None else start
        for n in range(MOST_STEPS):
            usd, hours = self.solved(list_price)
            if usd >= without_usd - close or hours <= 0:
                return None if n == 0 and start is None else list_price
            list_price += (without_usd - usd) / hours
        raise SolverError(f"no price of entry in {MOST_STEPS} steps")

    def solved(self, list_price: float) -> tuple[float, float]:
        """(bound [USD], machine-hours of the offer) at a list price, over all failures."""
        search = self.search
        search.objective = self.base + (list_price - self.base_price) * self.per_usd
        enter_what_breaks(search)
        hours = float(self.hours @ search.program.values[self.columns])
        return search.bound, hours if hours > self.least_hours else 0.0

    def without(self) -> float:
        """The bound where the offer cannot be bought [USD]."""
        search = self.search
        search.objective = self.base
        with bounds_restored(search.program, self.columns):
            search.program.upper[self.columns] = 0.0
            search.program.lower[self.columns] = 0.0
            enter_what_breaks(search)
            return search.bound


def _with_price(study: Study, b: str, price: float) -> Study:
    """The study with another list price of an offer [USD per machine and hour]."""
    prices = []
    for row in study.prices:
        if row.offer_id == b:
            row = row.model_copy(update={"price_usd_per_machine_hour": price})
        prices.append(row)
    return study.model_copy(update={"prices": tuple(prices)})
