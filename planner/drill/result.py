"""What a drill finds: rows per failure, deadline and tier; what each failure costs until recovery."""

from dataclasses import dataclass, field
from typing import Any, Literal

Mode = Literal["resolve", "rescale"]


@dataclass(frozen=True)
class DrillRow:
    """What one tier is served in one failure, so many seconds after it began.

    Parameters
    ----------
    failure : id of the failure; `normal` is the failure in which nothing is lost
    deadline_seconds : since the failure began [s]; at 0 nothing has been moved yet
    due_fraction, served_fraction : share of the tier's demand, that the goals ask for and that is served
    short_requests_per_second : below what is due and can be covered [requests/s]
    broken : whether a workload and origin of the tier falls short by more than 1e-6 of the tier's demand
    uncoverable_requests_per_second : what no capacity can serve in this failure [requests/s]
    warm_fraction, reclaimed_fraction, cold_start_fraction, launched_fraction : of the tier's demand, served by replicas
        that ran all along, that stand on machines back from others, that were cold-started on machines that ran, and
        that were launched on machines obtained in the failure
    without_obtaining_fraction : of the tier's demand, served where nothing can be obtained in it; none: as much
    uncovered_requests_per_second : of what is due, what no capacity can serve [requests/s]
    recovered : after the last deadline: all that can come back or start before repair runs
    hour : of the plan, where it has several
    worst_workload, worst_origin : the flow of the tier that falls shortest of what is due; where none does, of all
    worst_served_fraction, worst_due_fraction : shares of its demand: that are served; that are due and can be covered
    of : of a later stage of a failure, when parts of it work again: id of the failure as it begins
    falls_on : placement that takes all that is lost of its pool, now or in a later stage; else empty
    """

    failure: str
    deadline_seconds: float
    tier: str
    due_fraction: float
    served_fraction: float
    short_requests_per_second: float
    broken: bool
    uncoverable_requests_per_second: float
    warm_fraction: float = 0.0
    reclaimed_fraction: float = 0.0
    cold_start_fraction: float = 0.0
    launched_fraction: float = 0.0
    without_obtaining_fraction: float | None = None
    uncovered_requests_per_second: float = 0.0
    recovered: bool = False
    hour: str = ""
    worst_workload: str = ""
    worst_origin: str = ""
    worst_served_fraction: float = 1.0
    worst_due_fraction: float = 0.0
    of: str = ""
    falls_on: str = ""


@dataclass(frozen=True)
class OutageImpact:
    """What one failure costs until recovery, and how much of each workload is served.

    Between two times what is served at the first of them holds: an upper estimate of what is lost.

    Parameters
    ----------
    requests_lost, usd_lost : not served from the begin to `until_seconds`; USD at what an outage costs the tiers, by
        outage_usd_per_request or outage_usd_per_hour
    requests_lost_without_obtaining, usd_lost_without_obtaining : the same where nothing can be obtained in the
        failure; none: as much
    until_seconds : when the count ends [s]
    until : what that is: `repair` or `end of drill`
    due_again_seconds : from when on all that is due at the end of the drill is served [s]; none: not before repair
    all_again_seconds : the same for all that is wanted
    served_last, served_worst : workload -> share served at the end of the drill, and at its worst
    hour : of the plan, where it has several
    wrong_requests_per_second : tier -> what normal operation has answered wrongly until the failure was found out;
        neither served nor lost
    wrong_requests, wrong_usd : the same in all, USD at the same; none: nobody knows for how long
    hours_to_find_out : for how long; none: not known, or nothing is answered wrongly
    falls_on : placement that takes all that is lost of its pool, in this or a later stage; else empty
    """

    failure: str
    requests_lost: float
    usd_lost: float
    until_seconds: float
    until: Literal["repair", "end of drill"]
    due_again_seconds: float | None
    all_again_seconds: float | None
    served_last: dict[str, float]
    served_worst: dict[str, float]
    hour: str = ""
    wrong_requests: float | None = 0.0
    wrong_requests_per_second: dict[str, float] = field(default_factory=dict)
    wrong_usd: float | None = 0.0
    hours_to_find_out: float | None = None
    requests_lost_without_obtaining: float | None = None
    usd_lost_without_obtaining: float | None = None
    falls_on: str = ""


@dataclass(frozen=True)
class DrillResult:
    """All rows of a drill, worst first, the impact of each failure, and findings beside them.

    Parameters
    ----------
    mode : how failures were replayed; mixed: each as gateways fail over in it
    planned : how the plan that was drilled fails over itself; none: no plan, but what runs today
    rescaled : where mixed, the failures that were replayed with the weights of normal operation over what remains
    not_judged : rules of the plan that the drill does not know: its verdict does not cover them
    """

    mode: Mode | Literal["mixed"]
    subject: str
    rows: tuple[DrillRow, ...]
    findings: tuple[str, ...]
    outage_impacts: tuple[OutageImpact, ...] = ()
    hours: int = 1
    planned: Mode | Literal["mixed"] | None = None
    not_judged: tuple[str, ...] = ()
    rescaled: tuple[str, ...] = ()

    @property
    def broken(self) -> bool:
        """Whether any goal is broken."""
        return any(row.broken for row in self.rows)

    def as_dict(self) -> dict[str, Any]:
        """The result as plain data."""
        rows = tuple(dict(vars(row)) for row in self.rows)
        impacts = []
        for impact in self.outage_impacts:
            copied = {name: {**value} if isinstance(value, dict) else value for name, value in vars(impact).items()}
            impacts.append(copied)
        return {**vars(self), "rows": rows, "outage_impacts": tuple(impacts), "broken": self.broken}
