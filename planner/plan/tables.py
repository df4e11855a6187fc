"""The tables of a plan as pandas DataFrames: one row a thing, a unit in every name of a column."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

import pandas as pd

from planner.plan.cash import Flow
from planner.plan.in_hand import Plan
from planner.plan.orders import Order, PhaseOrder, QuotaOrder
from planner.study.records.base import Record
from planner.study.records.plan import Bottleneck, Built, Purchase, State

NAMES = (
    "purchases",
    "builds",
    "replicas",
    "traffic",
    "shed",
    "states",
    "orders",
    "phase_orders",
    "quota_orders",
    "costs",
    "cash",
    "bottlenecks",
)
"""Every table there is."""
STATE = ("hour", "failure", "deadline_seconds")


@dataclass(frozen=True, eq=False)
class Tables:
    """The tables of one plan, each made once, when it is first asked for; in the order of the plan file.

    `hour`, `failure` and `deadline_seconds` say of which state a row is: normal operation is the failure `normal`.
    """

    plan: Plan

    def __getitem__(self, name: str) -> pd.DataFrame:
        """A table by its name, one of NAMES."""
        if name not in NAMES:
            raise KeyError(name)
        table: pd.DataFrame = getattr(self, name)
        return table

    @cached_property
    def purchases(self) -> pd.DataFrame:
        """What is bought: `offer`, `when` (period, or hour of an hourly offer), `units`, `pool`, `machines`."""
        offers = {offer.id: offer for offer in self.plan.study.offers}
        table = _of_records(self.plan.file.purchases, Purchase)
        table["pool"] = [offers[id].pool for id in table["offer"]]
        table["machines"] = table["units"] * [offers[id].machines_per_unit for id in table["offer"]]
        return table

    @cached_property
    def builds(self) -> pd.DataFrame:
        """What is built: `build_out`, `when` (the period from whose start it may be used), `units` (modules)."""
        return _of_records(self.plan.file.builds, Built)

    @cached_property
    def replicas(self) -> pd.DataFrame:
        """What runs in normal operation: `placement`, `hour`, `replicas`, `non_preemptible`, `profile`, `pool`."""
        rows = []
        for row in self.plan.file.replicas:
            reliable = row.replicas if row.non_preemptible is None else row.non_preemptible
            rows.append((row.placement, row.hour, row.replicas, reliable))
        table = pd.DataFrame(rows, columns=["placement", "hour", "replicas", "non_preemptible"])
        return self._with_placement(table)

    @cached_property
    def traffic(self) -> pd.DataFrame:
        """Where requests go: the state, `workload`, `origin`, `placement`, `requests_per_second`, `profile`, `pool`."""
        rows = []
        for state, routes in self._states():
            flows = zip(routes.workload, routes.origin, routes.placement, routes.requests_per_second, strict=True)
            rows += [(*state, *flow) for flow in flows]
        columns = [*STATE, "workload", "origin", "placement", "requests_per_second"]
        return self._with_placement(pd.DataFrame(rows, columns=columns))

    @cached_property
    def shed(self) -> pd.DataFrame:
        """What is not served in each state: `workload`, `origin`, `requests_per_second`."""
        rows = []
        for state, routes in self._states():
            for workload, by_origin in routes.shed.items():
                rows += [(*state, workload, origin, rate) for origin, rate in by_origin.items()]
        return pd.DataFrame(rows, columns=[*STATE, "workload", "origin", "requests_per_second"])

    @cached_property
    def states(self) -> pd.DataFrame:
        """Replicas in each state that differ from normal operation: `placement`, `kept`, `cold_started`, `occupied`.

        A number that the plan does not state is missing (NaN): all that survive are kept, none is started.
        """
        rows = []
        for state in self.plan.file.states:
            of = (state.hour, state.failure, state.deadline_seconds)
            for placement in sorted({*state.kept, *state.cold_started, *state.occupied}):
                counts = [column.get(placement) for column in (state.kept, state.cold_started, state.occupied)]
                rows.append((*of, placement, *counts))
        return pd.DataFrame(rows, columns=[*STATE, "placement", "kept", "cold_started", "occupied"])

    @cached_property
    def orders(self) -> pd.DataFrame:
        """What to order, earliest first: the fields of `planner.plan.orders.Order`."""
        return _of_dataclasses(self.plan.orders, Order)

    @cached_property
    def phase_orders(self) -> pd.DataFrame:
        """What to order for build-outs, part by part: the fields of `planner.plan.orders.PhaseOrder`."""
        return _of_dataclasses(self.plan.phase_orders, PhaseOrder)

    @cached_property
    def quota_orders(self) -> pd.DataFrame:
        """Increases of quotas to ask for: the fields of `planner.plan.orders.QuotaOrder`."""
        return _of_dataclasses(self.plan.quota_orders, QuotaOrder)

    @cached_property
    def costs(self) -> pd.DataFrame:
        """What it costs over the horizon, on its first day: `component`, `usd`."""
        return _of_mapping(self.plan.file.costs_usd, "component", "usd")

    @cached_property
    def bottlenecks(self) -> pd.DataFrame:
        """Limits that bind: `limit`, `unit`, `marginal_usd` (a unit, at most), `step`, `replanned_usd`."""
        return _of_records(self.plan.file.bottlenecks, Bottleneck)

    @cached_property
    def cash(self) -> pd.DataFrame:
        """What is paid, sum by sum: the fields of `planner.plan.cash.Flow`."""
        return _of_dataclasses(self.plan.cash.flows, Flow)

    def _states(self) -> Iterable[tuple[tuple[str, str, float], State]]:
        """Each state with what the plan shows of its traffic: where it says so, that of normal operation."""
        normal = {state.hour: state for state in self.plan.file.states if state.failure == "normal"}
        for state in self.plan.file.states:
            of = (state.hour, state.failure, state.deadline_seconds)
            yield of, normal[state.hour] if state.same_as_normal else state

    def _with_placement(self, table: pd.DataFrame) -> pd.DataFrame:
        """A table with the profile and the pool of its placements."""
        p = self.plan.problem
        placements = pd.DataFrame(
            [(e, p.profile_of[e], p.pool_of[e]) for e in p.placements], columns=["placement", "profile", "pool"]
        )
        return table.merge(placements, on="placement", how="left")


def _of_records(rows: Iterable[Record], cls: type[Record]) -> pd.DataFrame:
    return pd.DataFrame([row.model_dump() for row in rows], columns=list(cls.model_fields))


def _of_dataclasses(rows: Iterable[Any], cls: type[Any]) -> pd.DataFrame:
    return pd.DataFrame([asdict(row) for row in rows], columns=[field.name for field in fields(cls)])


def _of_mapping(values: Mapping[str, float], key: str, value: str) -> pd.DataFrame:
    return pd.DataFrame(list(values.items()), columns=[key, value])
