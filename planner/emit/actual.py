"""What runs, read from Terraform state, from lists of Kubernetes nodes and pods, and from CSV."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from planner.emit.actual_aws import LIST, read_reservations
from planner.emit.actual_clouds import OF_AZURE, read_reservation_list
from planner.emit.actual_csv import COLUMNS, columns_of, read_table
from planner.emit.actual_nodes import read_list
from planner.emit.actual_state import FORMAT, OF_A_PLAN, read_state
from planner.emit.counts import FIX, Counts, Uncounted, not_counted
from planner.emit.fleet import Fleet, fleet_of
from planner.emit.quotas import QuotaToday, read_quotas, refuse_repeated
from planner.emit.terraform import CLOUDS
from planner.errors import Finding, InputError
from planner.plan.in_hand import Plan
from planner.study.files import parse_json
from planner.study.places import Row, printable_path
from planner.study.records.plan import PlanFile
from planner.study.tables import read_text

WHAT = "Terraform state, a list of nodes or pods, or a cloud's own list of reservations"


@dataclass(frozen=True)
class Actual:
    """What runs, as far as the files say: nothing said of a pool in none of them means none there.

    Parameters
    ----------
    machines : that count, by pool; none: no file counts machines
    replicas : by placement; none: no file counts replicas
    reserved : machines in reservations by pool; none: no file counts them
    strange : what carries our labels or tags and is not in the plan -> machines, reservations or replicas
    unlabelled : nodes of a machine type of the study that no label counts to a pool, by the pool that they would be in,
        or by type and place where there is none
    on_spot : of the machines, those that may be taken away, by pool
    existing : machines that are there, in service or not, by pool: what fills reservations; none: no list of nodes
    in_reservation : of these, those of which it is said that they are in one, by pool
    running_inside : machines that run in reservations by the cloud's own count, by pool; pools without: not counted so
    of_contract : machines by what they are bought as, by id of the lot, as far as that is known
    uncounted : what is there and does not count, and why
    foreign : what is somebody else's, and how many of it
    unsaid : (what, pool) -> machines of which only our label says it
    repeated : nodes, pods, resources that were named more than once, and how often
    reservations_of : providers whose reservations are counted
    quotas : what providers grant, each with its place; none: no file says
    """

    machines: Mapping[str, int] | None
    replicas: Mapping[str, int] | None
    reserved: Mapping[str, int] | None
    strange: Mapping[str, str] = field(default_factory=dict)
    unlabelled: Mapping[str, int] = field(default_factory=dict)
    on_spot: Mapping[str, int] = field(default_factory=dict)
    existing: Mapping[str, int] | None = None
    in_reservation: Mapping[str, int] = field(default_factory=dict)
    running_inside: Mapping[str, int] = field(default_factory=dict)
    of_contract: Mapping[str, int] = field(default_factory=dict)
    uncounted: tuple[Uncounted, ...] = ()
    foreign: Mapping[str, int] = field(default_factory=dict)
    unsaid: Mapping[tuple[str, str], int] = field(default_factory=dict)
    repeated: Mapping[str, int] = field(default_factory=dict)
    reservations_of: tuple[str, ...] = CLOUDS
    quotas: tuple[Row[QuotaToday], ...] | None = None

    @property
    def compared(self) -> dict[str, bool]:
        """What can be compared with a plan, and whether some file counts it."""
        counted = {"machines": self.machines, "reservations": self.reserved, "replicas": self.replicas}
        compared = {what: counts is not None for what, counts in counted.items()}
        others = [cloud for cloud in CLOUDS if cloud not in self.reservations_of]
        if self.reserved is not None and others:
            compared[f"reservations of {', '.join(others)}"] = False
        return compared | {"quotas": self.quotas is not None}


def read_actual(paths: Sequence[Path], plan: PlanFile | Plan) -> Actual:
    """Read Terraform state, lists of nodes, pods and reservations, and CSV; counts of several files add up.

    What several files name by the same identity (uid, machine of the cloud, id of a resource) counts once.

    Raises
    ------
    InputError
        when a file is none of these, or none of them has anything to count
    """
    fleet = fleet_of(plan)
    counts = Counts()
    findings: list[Finding] = []
    for path in paths:
        try:
            text = read_text(path, pipes=True)
            if path.suffix.lower() == ".csv":
                _read_csv(path, text, fleet, counts)
            else:
                _read_json(path, text, fleet, counts)
        except InputError as error:
            findings += error.findings
    if findings:
        raise InputError(findings)
    refuse_repeated(counts.quotas)
    if not (counts.of or counts.strange or counts.quotas):
        fix = "export it again: what is not named counts as not there, so an export that failed must not pass for one"
        got = "nothing that is counted: no machines, nodes, groups, replicas, reservations or quotas"
        raise InputError([Finding(", ".join(map(printable_path, paths)), "what runs today", got, fix)])
    counts.nodes_to_machines(fleet)
    return _actual(counts)


def _actual(counts: Counts) -> Actual:
    machines = counts.counted()
    unsaid = {}
    for what in ("type", "zone"):
        for pool, count in counts.of.get(f"{what} not said", {}).items():
            unsaid[what, pool] = count
    return Actual(
        machines=machines,
        replicas=counts.of.get("replicas"),
        reserved=counts.of.get("reserved"),
        strange=dict(sorted(counts.strange.items())),
        unlabelled=counts.of.get("unlabelled", {}),
        on_spot=counts.counted(" on spot") or {},
        existing=counts.of.get("nodes there"),
        in_reservation=counts.of.get("nodes in a reservation", {}),
        running_inside=counts.of.get("running inside", {}),
        of_contract=counts.of.get("nodes of a contract" if "nodes" in counts.of else "groups of a contract", {}),
        uncounted=tuple(Uncounted(*key[:2], n, key[2]) for key, n in sorted(counts.uncounted.items())),
        foreign=dict(sorted(counts.foreign.items())),
        unsaid=unsaid,
        repeated=counts.repeated,
        reservations_of=tuple(sorted(counts.reservations_of)),
        quotas=tuple(counts.quotas) or None,
    )


def _read_csv(path: Path, text: str, fleet: Fleet, counts: Counts) -> None:
    """A table of what runs, or of quotas, by its columns."""
    columns = columns_of(text)
    if {"quota", "limit"} & set(columns) and not COLUMNS & set(columns):
        counts.quotas += read_quotas(path, fleet)
    else:
        read_table(path, text, fleet, counts)


def _read_json(path: Path, text: str, fleet: Fleet, counts: Counts) -> None:
    data = parse_json(text, printable_path(path), FIX)
    if not isinstance(data, dict | list):
        raise not_counted(path, "an object or a list", f"a JSON {type(data).__name__}")
    try:
        if isinstance(data, list):
            read_reservation_list(path, data, fleet, counts)
        elif OF_AZURE in str(data.get("id", "")).lower():
            read_reservation_list(path, [data], fleet, counts)
        elif "items" in data:
            read_list(path, data, fleet, counts)
        elif LIST in data:
            read_reservations(path, data, fleet, counts)
        elif {"resources", "values", FORMAT, *OF_A_PLAN} & set(data):
            read_state(path, data, fleet, counts)
        else:
            raise not_counted(path, WHAT, f"fields {', '.join(map(str, data))[:80]}")
    except KeyError as error:
        raise not_counted(path, WHAT, f"one without the field {error}") from error
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        raise not_counted(path, WHAT, f"{type(error).__name__}: {error}") from error
