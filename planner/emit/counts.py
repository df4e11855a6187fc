"""What files say of what runs, while they are read: what counts, by pool or placement, and what does not and why."""

from dataclasses import dataclass, field

from planner.emit.fleet import Fleet, nodes_of
from planner.emit.quotas import QuotaToday
from planner.errors import InputError, refusal
from planner.study.places import Row

FIX = (
    "terraform show -json, kubectl get nodes or pods -o json, aws ec2 describe-capacity-reservations, "
    "gcloud compute reservations list --format json, az capacity reservation show --instance-view, "
    "CSV with pool, machines, profile, replicas, or with provider, where, quota, limit"
)
OF_NODES = ("nodes", "nodes on spot", "nodes there", "nodes in a reservation")
"""Kinds of counts that are of nodes, by pool: a machine of several nodes counts when it has all of them."""


def not_counted(where: object, expected: str, got: str, fix: str = FIX) -> InputError:
    """The error of a file from which nothing can be counted, to be raised."""
    return refusal(str(where), expected, got[:200], fix)


@dataclass(frozen=True)
class Uncounted:
    """Things that are there and do not count as planned.

    Parameters
    ----------
    kind : nodes of another type, nodes elsewhere, nodes out of service; groups or reservations of another type; pods
    subject : pool or placement that their label names
    """

    kind: str
    subject: str
    count: int
    why: str


@dataclass
class Counts:
    """What the files say so far.

    Parameters
    ----------
    of : of each kind (machines, nodes, groups, reserved, replicas, ...) by pool, placement or contract; a kind that no
        file counts is not in it
    strange : what carries our label or tag and is not in the plan: machines, reservations or replicas
    foreign : what is somebody else's, and how many of it
    uncounted : (kind, subject, why) -> how many
    reservations_of : providers whose reservations some file counts
    seen : what tells nodes, pods and resources apart that were counted
    """

    of: dict[str, dict[str, int]] = field(default_factory=dict)
    strange: dict[str, str] = field(default_factory=dict)
    foreign: dict[str, int] = field(default_factory=dict)
    uncounted: dict[tuple[str, str, str], int] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    repeated: dict[str, int] = field(default_factory=dict)
    reservations_of: set[str] = field(default_factory=set)
    quotas: list[Row[QuotaToday]] = field(default_factory=list)

    def add(self, kind: str, key: str, count: int) -> None:
        """So many more."""
        by_key = self.of.setdefault(kind, {})
        by_key[key] = by_key.get(key, 0) + count

    def add_foreign(self, what: str, count: int = 1) -> None:
        """So many more of what is somebody else's."""
        self.foreign[what] = self.foreign.get(what, 0) + count

    def leave_out(self, kind: str, subject: str, why: str, count: int = 1) -> None:
        """So many that do not count."""
        key = kind, subject, why
        self.uncounted[key] = self.uncounted.get(key, 0) + count

    def is_repeated(self, what: str, keys: set[str]) -> bool:
        """Whether a thing was named before, by any of what tells it apart; things without such are all different."""
        if keys & self.seen:
            self.repeated[what] = self.repeated.get(what, 0) + 1
            return True
        self.seen |= keys
        return False

    def nodes_to_machines(self, fleet: Fleet) -> None:
        """Machines instead of nodes, where a machine has several."""
        pool_of = {lot.id: lot.pool for lot in fleet.lots}
        for kind in (*OF_NODES, "nodes of a contract"):
            for key, nodes in self.of.get(kind, {}).items():
                self.of[kind][key] = nodes // nodes_of(fleet.machine_of[pool_of.get(key, key)])

    def counted(self, suffix: str = "") -> dict[str, int] | None:
        """Machines: nodes rather than the groups that should have them; what a person states rather than both.

        With a suffix that part of them, as in ` on spot`: of what a person states none is known.
        """
        stated = self.of.get("machines")
        kind = "groups" if "nodes" not in self.of else "nodes"
        by_pool = self.of.get(kind + suffix) if suffix else self.of.get(kind)
        if not suffix:
            return by_pool if stated is None else {**(by_pool or {}), **stated}
        return {q: n for q, n in (by_pool or {}).items() if q not in (stated or {})}
