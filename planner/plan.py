"""The plan file: from a solution to self-contained JSON and back, with digests."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from planner import __version__
from planner.algebra import Sparse, total
from planner.build import build
from planner.costs import COSTS, rank_outages
from planner.errors import Finding, InputError, NoPlan
from planner.formulas import (
    drawn_upon,
    is_normal,
    limit_drawn,
    live_placements,
    machines_standing,
    requests_passing,
    requests_per_second,
    served,
    short_of_spend,
    units_active,
    waits,
    whole_occupied,
)
from planner.problem import HOURLY, Decisions, Problem, no_decisions, states
from planner.records.plan import (
    PLAN_SCHEMA_VERSION,
    Binding,
    Built,
    Firm,
    PlanFile,
    Proof,
    Purchase,
    Replicas,
    Reserves,
    ReSolved,
    State,
    Uncoverable,
    WithoutGoals,
)
from planner.records.study import Study
from planner.reserves import whole_survivors
from planner.risk import NORMAL, availability, dependency_graph, leaves
from planner.solve import Effort, Progress, Solution, solve

DECIMALS = 9
Case = Literal["base", "low", "high"]


def make_plan(
    study: Study,
    effort: Effort = Effort(),
    solver: Callable[[], Any] | None = None,
    solver_name: str = "HiGHS",
    progress: Progress = lambda stage, done, detail: None,
    firm: bool = False,
    case: Case = "base",
    hints: Iterable[str] = (),
    start: PlanFile | None = None,
) -> PlanFile:
    """The straight line: build, solve with and without survival goals, and put the answer into a plan.

    `hints` are failures that decided a similar plan (its `proof.failures_entered`): they save passes, nothing else.
    `start` is a similar plan: its failures are hints, and whole numbers are looked for near its own first; where none
    there is good enough, the search goes on, unless the effort is quick. The proof is of this study alone.

    Raises
    ------
    NoPlan
        when no plan exists
    """
    # the short solve first: an interruption of the long one then ends in a whole plan
    bare = replace(build(study, case, with_goals=False), failover="resolve")
    reference = solve(bare, effort, solver, renamed(progress, "without goals"))
    p = build(study, case)
    re_solved = _re_solved(p, effort, solver, progress, hints)
    hints = (*hints, *(start.proof.failures_entered if start is not None else ()))
    solution = solve(p, effort, solver, progress, hints, None if start is None else _bought_of(start))
    orders = purchases_of(p, solution.decisions)
    return sealed(
        PlanFile(
            planner_version=__version__,
            solver=solver_name,
            demand_case=case,
            study_sha256=sha256(study.model_dump(mode="json", by_alias=True)),
            digest_sha256="unsealed",
            study=study,
            purchases=orders,
            builds=builds_of(p, solution.decisions),
            replicas=tuple(
                Replicas(placement=e, hour=h, replicas=int(n), firm=firm_of(p, solution.decisions, e, h))
                for (e, h), n in sorted(solution.decisions.replicas.items())
                if n
            ),
            states=tuple(state_records(p, solution.decisions)),
            reserves=reserves_of(solution.decisions),
            costs_usd=costs_usd(p, solution.decisions),
            uncoverable=tuple(uncoverable(study, p)),
            binds=binds(p, solution),
            firm=firmness(study, orders, builds_of(p, solution.decisions), effort, solver, progress) if firm else (),
            drivers=solution.drivers,
            without_goals=WithoutGoals(
                purchases=purchases_of(bare, reference.decisions),
                builds=builds_of(bare, reference.decisions),
                costs_usd=costs_usd(bare, reference.decisions),
                cost_usd=reference.cost_usd,
                bound_usd=reference.bound_usd,
            ),
            re_solved=re_solved,
            proof=Proof(
                status=solution.status,
                cost_usd=solution.cost_usd,
                bound_usd=solution.bound_usd,
                gap_fraction=gap_fraction(solution.cost_usd, solution.bound_usd),
                gap_asked_fraction=effort.gap_fraction,
                relaxation_usd=solution.relaxation_usd,
                failures_tested=len(p.failures) - 1,
                failures_entered=solution.entered,
                failures_implied=solution.implied,
                passes=solution.passes,
            ),
        )
    )


def _bought_of(plan: PlanFile) -> Decisions:
    """What a plan buys and runs, whatever study it is of."""
    x, hourly = no_decisions(), {b.id for b in plan.study.offers if b.kind in HOURLY}
    x.rented = Sparse({(b.offer, b.when): float(b.units) for b in plan.purchases if b.offer in hourly})
    started = {(b.offer, b.when): float(b.units) for b in plan.purchases if b.offer not in hourly}
    x.started = Sparse(started | {(m.build_out, m.when): float(m.units) for m in plan.builds})
    x.replicas = Sparse({(r.placement, r.hour): float(r.replicas) for r in plan.replicas})
    x.firm = Sparse({(r.placement, r.hour): float(r.replicas if r.firm is None else r.firm) for r in plan.replicas})
    x.opened = Sparse({(r.placement.partition("@")[2], r.hour): 1.0 for r in plan.replicas if r.replicas})
    return x


def _re_solved(
    p: Problem, effort: Effort, solver: Callable[[], Any] | None, progress: Progress, hints: Iterable[str]
) -> ReSolved | None:
    """What a rescale plan is compared with: the same goals, weights chosen anew for each failure."""
    if p.failover != "rescale":
        return None
    q = replace(p, failover="resolve")
    found = solve(q, effort, solver, renamed(progress, "re-solved"), hints)
    return ReSolved(
        purchases=purchases_of(q, found.decisions),
        builds=builds_of(q, found.decisions),
        costs_usd=costs_usd(q, found.decisions),
        cost_usd=found.cost_usd,
        bound_usd=found.bound_usd,
    )


def renamed(progress: Progress, stage: str) -> Progress:
    """Progress of a solve within a larger work, under one name."""
    return lambda inner, done, detail: progress(stage, done, inner)


def gap_fraction(cost_usd: float, bound_usd: float) -> float:
    """How much cheaper the best possible plan might be: `(cost − bound) / cost`.

    Examples
    --------
    >>> gap_fraction(200.0, 199.0)
    0.005
    """
    return max(0.0, cost_usd - bound_usd) / cost_usd if cost_usd > 0 else 0.0


def costs_usd(p: Problem, x: Decisions) -> dict[str, float]:
    """Cost by component [USD over the horizon]."""
    return {cost.__name__: float(cost(p, x)) for cost in COSTS}


def purchases_of(p: Problem, x: Decisions) -> tuple[Purchase, ...]:
    """What is bought of offers, as records; zeros left out."""
    bought = sorted({**x.started, **x.rented}.items())
    return tuple(Purchase(offer=b, when=t, units=int(n)) for (b, t), n in bought if n and b not in p.build_outs)


def builds_of(p: Problem, x: Decisions) -> tuple[Built, ...]:
    """What is built, as records; zeros left out."""
    built = sorted(x.started.items())
    return tuple(Built(build_out=m, when=t, units=int(n)) for (m, t), n in built if n and m in p.build_outs)


def binds(p: Problem, solution: Solution) -> tuple[Binding, ...]:
    """Limits that bind, largest marginal value first."""
    units = {limit.name: limit.unit for limit in p.limits}
    rows = [
        Binding(limit=name, unit=units[name], marginal_usd=value)
        for name, value in solution.limit_marginals.items()
        if value > 1e-6
    ] + [
        Binding(limit=f"most_units of {b}", unit="units", marginal_usd=value)
        for b, value in solution.offer_marginals.items()
        if value > 1e-6
    ]
    return tuple(sorted(rows, key=lambda row: (-row.marginal_usd, row.limit)))


def with_valued_limits(plan: PlanFile, effort: Effort, most: int, progress: Progress) -> PlanFile:
    """The plan with its first binding limits valued by planning again with one more unit of each.

    The saving is what the plans differ by; it is true to within the gaps of both.
    """
    rows = []
    for n, row in enumerate(plan.binds):
        if n < most:
            p = build(more_of(plan.study, row.limit), plan.demand_case)
            found = solve(p, effort, None, renamed(progress, row.limit))
            # the plan at hand stays a plan with one unit more: a dearer one found is no loss
            row = row.model_copy(update={"replanned_usd": max(0.0, plan.proof.cost_usd - found.cost_usd)})
        rows.append(row)
    return sealed(plan.model_copy(update={"binds": tuple(rows)}))


def more_of(study: Study, limit: str) -> Study:
    """The study with one more unit of a limit that binds, by its name in the plan."""
    quotas = tuple(q.model_copy(update={"most": q.most + (q.name == limit)}) for q in study.policies.quotas)
    offers = tuple(
        b.model_copy(update={"most_units": b.most_units + 1})
        if b.most_units is not None and f"most_units of {b.id}" == limit
        else b
        for b in study.offers
    )
    sites = tuple(
        s.model_copy(update={"power_kw": (s.power_kw or 0.0) + 1}) if f"power of {s.id}" == limit else s
        for s in study.sites
    )
    policies = study.policies.model_copy(update={"quotas": quotas})
    return study.model_copy(update={"policies": policies, "offers": offers, "sites": sites})


def firmness(
    study: Study,
    orders: tuple[Purchase, ...],
    builds: tuple[Built, ...],
    effort: Effort,
    solver: Callable[[], Any] | None,
    progress: Progress,
) -> tuple[Firm, ...]:
    """Units of each offer in the plans for low, base and high demand; none when one of them has no plan."""
    base = build(study)
    units = {"base": units_by_period(base, orders, builds)}
    for case in ("low", "high"):
        p = build(study, case)
        try:
            found = solve(p, effort, solver, renamed(progress, f"{case} demand"))
        except (KeyboardInterrupt, NoPlan):
            return ()
        units[case] = units_by_period(p, purchases_of(p, found.decisions), builds_of(p, found.decisions))
    several = len(base.periods) > 1
    return tuple(
        Firm(
            offer=b,
            when=t if several else None,
            low_units=units["low"].get((b, t), 0),
            base_units=units["base"].get((b, t), 0),
            high_units=units["high"].get((b, t), 0),
        )
        for b, t in sorted({key for found in units.values() for key in found})
    )


def units_by_period(
    p: Problem, purchases: Iterable[Purchase], builds: Iterable[Built] = ()
) -> dict[tuple[str, str], int]:
    """(b, t) -> units of an offer, or modules of a phase, there in a period, in its fullest hour; zeros left out."""
    x = no_decisions()
    for row in purchases:
        (x.rented if row.offer in p.hourly else x.started)[row.offer, row.when] = row.units  # type: ignore[index]
    for built in builds:
        x.started[built.build_out, built.when] = built.units  # type: ignore[index]
    most: dict[tuple[str, str], int] = {}
    for b in sorted({b for b, _ in (*x.rented, *x.started)} & {*p.offers, *p.build_outs}):
        for h in p.hours:
            key = b, p.period_of[h]
            most[key] = max(most.get(key, 0), round(units_active(p, x, b, h)))
    return {key: n for key, n in most.items() if n}


# ------------------------------------------------------------------ states, there and back
def reserves_of(x: Decisions) -> Reserves:
    """The limits of gateways as a record, in the order of their edges."""
    rows = [(*key, value) for key, v in sorted(x.reserve.items()) if (value := round(v, DECIMALS)) > 0]
    workload, origin, placement, hour, rates = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    return Reserves(workload=workload, origin=origin, placement=placement, hour=hour, requests_per_second=rates)


def firm_of(p: Problem, x: Decisions, e: str, h: str) -> int | None:
    """Replicas on machines that count in every failure, where not all are."""
    firm = int(x.firm[e, h])
    return firm if p.pool_of[e] in p.with_spot and firm != int(x.replicas[e, h]) else None


def state_records(p: Problem, x: Decisions) -> list[State]:
    """The states as records; what equals normal operation is said in one word."""
    index: dict[tuple[str, str, float], list[tuple[str, str, str, float]]] = {}
    for (w, o, e, s), value in x.traffic.items():
        if (rounded := round(value, DECIMALS)) > 0:
            index.setdefault(s, []).append((w, o, e, rounded))
    found = []
    for f in p.failures:
        for s in states(p, f):
            rows = sorted(index.get(s, []))
            shed: dict[str, dict[str, float]] = {}
            for w, o in p.flows:
                if (value := round(x.shed[w, o, s], DECIMALS)) > 0:
                    shed.setdefault(w, {})[o] = value
            kept, loaded, occupied = {}, {}, {}
            for e in live_placements(p, f):
                alive = whole_survivors(p, x, e, s)
                kept_now, loaded_now = round(x.kept[e, s]), round(x.loaded[e, s])
                runs = kept_now + loaded_now
                if f != NORMAL:
                    if kept_now != alive:
                        kept[e] = kept_now
                    if loaded_now:
                        loaded[e] = loaded_now
                    if round(x.occupied[e, s]) > runs:
                        occupied[e] = round(x.occupied[e, s])
            taking = {way: v for way in p.doors.ways if (v := round(x.taking[way, s], DECIMALS)) > 0}
            usual = (s[0], NORMAL, 0.0)
            as_usual = {way: v for way in p.doors.ways if (v := round(x.taking[way, usual], DECIMALS)) > 0}
            normal = sorted(index.get(usual, []))
            same = (
                f != NORMAL
                and rows == normal
                and taking == as_usual
                and not (shed or kept or loaded or occupied)
                and all(requests_per_second(p, w, o, s) == requests_per_second(p, w, o, usual) for w, o in p.flows)
            )
            columns: Any = ((), (), (), ()) if same or not rows else zip(*rows, strict=True)
            w_, o_, e_, v_ = (tuple(column) for column in columns)
            found.append(
                State(
                    hour=s[0],
                    failure=f,
                    clock_seconds=s[2],
                    same_as_normal=same,
                    workload=w_,
                    origin=o_,
                    placement=e_,
                    requests_per_second=v_,
                    ways=() if same else tuple(taking),
                    taking_requests_per_second=() if same else tuple(taking.values()),
                    shed=shed,
                    kept=kept,
                    loaded=loaded,
                    occupied=occupied,
                )
            )
    return found


def problem_of(plan: PlanFile) -> Problem:
    """The problem of a plan's study.

    Raises
    ------
    InputError
        when none can be built, or the plan buys what it does not know: the file was changed by hand
    """
    fix = "make the plan again with `planner plan`"
    try:
        p = build(plan.study, plan.demand_case)
    except (ValueError, LookupError, ArithmeticError, StopIteration) as error:
        got = f"no problem can be built from it: {error!r}"[:200]
        raise InputError([Finding("plan: study", "a study whose parts fit each other", got, fix)]) from error
    times = {b: p.hours if b in p.hourly else p.periods for b in p.offers}
    unknown = [
        Finding(f"plan: purchases[{n}]", "an offer of the study, in one of its periods or hours", got, fix)
        for n, row in enumerate(plan.purchases)
        if row.when not in times.get(row.offer, ())
        for got in [f"{row.offer} in {row.when}"]
    ]
    unknown += [
        Finding(f"plan: builds[{n}]", "a build-out of the study, in one of its periods", got, fix)
        for n, row in enumerate(plan.builds)
        if row.build_out not in p.build_outs or row.when not in p.periods
        for got in [f"{row.build_out} in {row.when}"]
    ]
    if unknown:
        raise InputError(unknown)
    return p


def decisions_of(plan: PlanFile, p: Problem) -> Decisions:
    """The plan's numbers as decisions, for the rules to audit; machines are what the occupied replicas need."""
    x = no_decisions()
    hourly = {(b.offer, b.when): float(b.units) for b in plan.purchases if b.offer in p.hourly}
    x.rented = Sparse(hourly)
    started = {(b.offer, b.when): float(b.units) for b in plan.purchases if b.offer not in p.hourly}
    x.started = Sparse(started | {(m.build_out, m.when): float(m.units) for m in plan.builds})
    x.shortfall = Sparse(short_of_spend(p, x))
    x.replicas = Sparse({(r.placement, r.hour): float(r.replicas) for r in plan.replicas})
    firm = {(r.placement, r.hour): r.replicas if r.firm is None else r.firm for r in plan.replicas}
    x.firm = Sparse({(e, h): float(n) for (e, h), n in firm.items() if p.pool_of.get(e) in p.with_spot})
    x.opened = Sparse({(p.pool_of.get(e, ""), h): 1.0 for (e, h), n in x.replicas.items() if n})
    limits = plan.reserves
    of = zip(limits.workload, limits.origin, limits.placement, limits.hour, strict=True)
    x.reserve = Sparse(dict(zip(of, limits.requests_per_second, strict=True)))
    normal = {state.hour: state for state in plan.states if state.failure == NORMAL}
    known = {s for f in p.failures for s in states(p, f)}
    for state in plan.states:
        s = (state.hour, state.failure, state.clock_seconds)
        if s not in known:
            continue
        shown = normal.get(state.hour, state) if state.same_as_normal else state
        for w, o, e, value in zip(
            shown.workload, shown.origin, shown.placement, shown.requests_per_second, strict=True
        ):
            x.traffic[w, o, e, s] = x.traffic[w, o, e, s] + value  # type: ignore[index]
        for w, o in p.flows:
            x.offered[w, o, s] = requests_per_second(p, w, o, s)  # type: ignore[index]
        for w, by_origin in shown.shed.items():
            for o, value in by_origin.items():
                x.shed[w, o, s] = value  # type: ignore[index]
        for w, o in p.flows:
            if waits(p, w, s):  # what is taken up in an hour is what is served and shed in it
                x.offered[w, o, s] = served(p, x, w, o, s) + x.shed[w, o, s]  # type: ignore[index]
        for e in p.placements:
            kept = state.kept.get(e, whole_survivors(p, x, e, s))
            x.kept[e, s] = float(kept)  # type: ignore[index]
            x.loaded[e, s] = float(state.loaded.get(e, 0))  # type: ignore[index]
            x.occupied[e, s] = max(whole_occupied(p, x, e, s), float(state.occupied.get(e, 0)))  # type: ignore[index]
        for way, value in zip(shown.ways, shown.taking_requests_per_second, strict=True):
            x.taking[way, s] = value  # type: ignore[index]
        for c in p.doors.components:
            x.passing[c, s] = requests_passing(p, x, c, s)  # type: ignore[index]
        for q in p.pools:
            stands = float(total((p.machines_per_replica[e], x.occupied[e, s]) for e in p.on_pool[q]))
            if q in p.may_obtain and not is_normal(s):  # what was there before is used first
                before = min(stands, max(0.0, float(machines_standing(p, x, q, s))))
                x.obtained[q, s], stands = stands - before, before  # type: ignore[index]
            x.machines[q, s] = stands  # type: ignore[index]
        for n in drawn_upon(p) if not is_normal(s) else ():
            x.drawn[n, s] = limit_drawn(p, x, n, s)  # type: ignore[index]
    rank_outages(p, x)
    return x


def uncoverable(study: Study, p: Problem) -> list[Uncoverable]:
    """What no capacity helps, with the missing ingredient; found before anything is solved."""
    rows = []
    graph = dependency_graph(study)
    models = {w.name: w.model for w in study.workloads}
    for f, failure in p.failures.items():
        promised_to = {tier for tier, fraction, _ in p.promised[f] if fraction > 0}
        if f == NORMAL or not promised_to:
            continue
        value = None
        for (w, o), fraction in p.coverable[f].items():
            wanted = max((x for tier, x, _ in p.promised[f] if tier == p.tier_of[w]), default=0.0)
            if wanted <= fraction:
                continue
            value = availability(graph, failure.lost) if value is None else value
            doors = [d for d in (f"workload:{w}", f"origin:{o}") if value[d] < 1]
            if doors:
                parts = {d: [*graph.nodes[d]["needs"], *(need for need, _ in graph.nodes[d]["logins"])] for d in doors}
                needs = sorted({leaf for d in doors for part in parts[d] for leaf in leaves(part) if value[leaf] < 1})
                missing = f"a second way for {' and '.join(doors)} beside {', '.join(needs) or 'itself'}"
            else:
                n = len(p.edges_in_failure[w, o])
                missing = (
                    f"a placement of {models[w]} that outlives {f}: all {n} that meet the limits are lost"
                    if n
                    else f"a placement of {models[w]} that meets the limits at all"
                )
            rows.append(
                Uncoverable(failure=f, workload=w, origin=o, coverable_fraction=fraction, missing=missing[:200])
            )
    return rows


# ------------------------------------------------------------------ files
def canonical(data: Any) -> str:
    """JSON in one form: keys sorted, no blanks, no NaN."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256(data: Any) -> str:
    """Digest of the canonical form."""
    return hashlib.sha256(canonical(data).encode()).hexdigest()


def digest(data: Mapping[str, Any]) -> str:
    """Digest of a plan's data, its own field left out."""
    return sha256({k: v for k, v in data.items() if k != "digest_sha256"})


def sealed(plan: PlanFile) -> PlanFile:
    """The plan with its digest."""
    return plan.model_copy(update={"digest_sha256": digest(plan.model_dump(mode="json", by_alias=True))})


def plan_text(plan: PlanFile) -> str:
    """The text of plan.json: the same plan, byte for byte."""
    return json.dumps(plan.model_dump(mode="json", by_alias=True), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def write_atomically(path: Path, text: str) -> None:
    """Write to a temporary name beside the target, then rename: never half a file.

    Raises
    ------
    InputError
        when the folder is missing or cannot be written
    """
    if path.exists() and not path.is_file():
        if path.is_dir():
            raise InputError([Finding(str(path), "a file to write", "a folder", "name a file, as in plan.json")])
        with path.open("w", encoding="utf-8") as stream:  # a device or a pipe is written to, never replaced
            stream.write(text)
        return
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    except OSError as error:
        raise InputError(
            [Finding(str(path), "a folder that can be written", error.strerror or str(error), "name another --out")]
        ) from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(
            [Finding(str(path), "a file that can be written", error.strerror or str(error), "name another --out")]
        ) from error
    finally:
        Path(temporary).unlink(missing_ok=True)


def check_writable(path: Path, inputs: Iterable[Path] = ()) -> None:
    """Find out before a long solve whether the result can be written, and would not replace what was read.

    Raises
    ------
    InputError
        when the folder is missing or cannot be written, or the file is one of the inputs
    """
    if any(path.exists() and source.exists() and path.samefile(source) for source in inputs):
        raise InputError([Finding(str(path), "a file that is not an input", "the input", "name another --out")])
    if path.is_dir():
        raise InputError([Finding(str(path), "a file to write", "a folder", "name a file, as in plan.json")])
    if not os.access(path.parent, os.W_OK | os.X_OK):
        got = "a folder that cannot be written" if path.parent.is_dir() else "no such folder"
        raise InputError([Finding(str(path), "a folder that can be written", got, "name another --out")])


def read_plan(path: Path) -> PlanFile:
    """Read plan.json.

    Raises
    ------
    InputError
        when it is missing, truncated, of another schema version, or does not fit the schema; an edited plan is read,
        and the audit finds that its digest does not match
    """
    fix = "make the plan again with `planner plan`"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            [Finding(str(path), "a plan file", error.strerror or str(error), "name a plan.json")]
        ) from error
    except UnicodeDecodeError as error:
        raise InputError([Finding(str(path), "UTF-8 text", f"other bytes at {error.start}", fix)]) from error
    except (json.JSONDecodeError, RecursionError) as error:
        where = f"{path}:{error.lineno}" if isinstance(error, json.JSONDecodeError) else str(path)
        raise InputError([Finding(where, "a whole JSON file", f"{error}", fix)]) from error
    if not isinstance(data, dict):
        raise InputError([Finding(str(path), "a plan", f"a JSON {type(data).__name__}", fix)])
    version = data.get("schema_version")
    if version != PLAN_SCHEMA_VERSION:
        raise InputError([Finding(f"{path}: schema_version", f"{PLAN_SCHEMA_VERSION}", f"{version!r}", fix)])
    try:
        return PlanFile.model_validate(data)
    except ValidationError as error:
        raise InputError(
            [
                Finding(
                    f"{path}: {'.'.join(str(part) for part in found['loc'])}",
                    found["msg"][:200],
                    repr(found["input"])[:80],
                    fix,
                )
                for found in error.errors()
            ]
        ) from error
