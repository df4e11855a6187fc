"""Single numbers of plan files changed at random, digests made good again: what matters is caught."""

import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import pytest
from buildouts import hall
from pydantic import ValidationError
from row_by_row import rows_of
from studies import random_study
from typer.testing import CliRunner

from planner.cli.main import app
from planner.drill import drill_plan, drill_state_claims
from planner.plan.audit import audit, not_checked
from planner.plan.audit_totals import BESIDE
from planner.plan.decisions import decisions_of
from planner.plan.file import digest, plan_text, sha256
from planner.plan.plan import make_plan
from planner.problem.arrays import full
from planner.problem.build import build
from planner.problem.problem import Problem
from planner.problem.rules.costs import cost_usd
from planner.problem.rules.index_sets import as_vectors
from planner.problem.rules.register import RULES
from planner.solve.search import Infeasible
from planner.study.records.plan import PlanFile
from planner.study.records.study import Policies, Quota, RequestCost, Share, Study

CORRUPTIONS = 300
Path = tuple[str | int, ...]

EXPLANATIONS = {
    "proof.passes": "how often the loop went round",
    "proof.gap_asked_fraction": "what was asked for; whether it was reached is checked",
    "proof.bound_usd": "proving a bound means solving again; its order and the gap are checked",
    "proof.lp_bound_usd": "proving a bound means solving again; its order is checked",
    "on_equal_terms.bound_usd": "proving a bound means solving again; its order is checked",
    "without_goals.bound_usd": "proving a bound means solving again; its order is checked",
    "re_solved.bound_usd": "proving a bound means solving again; its order is checked",
    "bottlenecks.*.marginal_usd": "of the relaxation, an explanation",
    "bottlenecks.*.step": "of the relaxation, an explanation",
    "no_regret.*.low_units": "of the plan for low demand, which is another plan",
    "no_regret.*.high_units": "of the plan for high demand, which is another plan",
}
"""Numbers of the answer that decide nothing."""
SLACK = {
    "replicas.*": "room for one more",
    "reserves.requests_per_second.*": "a limit that is higher where there is room, of the only edge that is left",
    "states.*.cold_started.*": "room for one more",
    "states.*.occupied.*": "room for one more, or no more than what runs takes up",
    "states.*.kept.*": "one less or more carries the traffic too",
}
"""Numbers of the answer that may be others: the plan is as good, by every rule."""
STUDY = {
    "order_slack_days": "order dates only",
    "cvar_level": "the objective is not cvar",
    "demand.*.low_requests_per_second": "of the plan for low demand, which is another plan",
    "demand.*.high_requests_per_second": "of the plan for high demand, which is another plan",
    "detection_seconds": "what is loaded is loaded in time still",
    "machine_types.*.memory_gib_per_accelerator": "weighed when a study is read",
    "machine_types.*.accelerators": "a replica takes less of a machine",
    "machine_types.*.power_kw": "within the power of the site",
    "models.*.facts.*": "weighed when a study is read",
    "models.*.rollout_surge_fraction": "there is room for the rollout",
    "models.*.profiles.*.accelerators_per_replica": "there is room for larger ones",
    "models.*.profiles.*.concurrency_limit": "the rates are stated at it",
    "models.*.profiles.*.context_limit_tokens": "longer than the class",
    "models.*.profiles.*.kv_bytes_per_value": "weighed when a study is read",
    "models.*.profiles.*.load_seconds": "loaded in time, or nothing is loaded",
    "models.*.profiles.*.weights_gib": "storage feeds it in time, or nothing is loaded",
    "models.*.profiles.*.classes.*_factor": "of the low and high case",
    "models.*.profiles.*.classes.*_per_second": "faster, or fast enough",
    "models.*.profiles.*.classes.*_ms": "within the target, or none is set",
    "offers.*.lead_days": "of an offer that is not bought, or in time",
    "offers.*.machines_per_unit": "of an offer that is not bought",
    "offers.*.most_units": "no less than what is bought",
    "offers.*.term_months": "of an offer that is not bought, or within the horizon",
    "prices.*": "of an offer that is not bought",
    "origins.*.l*itude": "the round trip stays within the limit",
    "sites.*.l*itude": "the round trip stays within the limit",
    "sites.*.power_kw": "no less than what is drawn",
    "sites.*.load_gib_per_second": "fast enough, or nothing is loaded",
    "pools.*.usable_fraction": "enough of them are usable",
    "pools.*.spare_machines": "there is room for more",
    "holdings.*.machines": "more are held",
    "claims.*": "fewer are lent, or sooner back, or not needed",
    "tiers.*.round_trip_ms": "no shorter than the trips",
    "tiers.*.first_token_ms": "no shorter than it takes",
    "tiers.*.per_token_ms": "no shorter than it takes",
    "tiers.*.serve_fraction": "all is served",
    "tiers.*.outage_usd_per_request": "nothing is left unserved in normal operation",
    "tiers.*.survive.*.of": "fewer failures, and each of them promised elsewhere too",
    "tiers.*.survive.*.serve_fraction": "more is served than promised",
    "tiers.*.survive.*.within_seconds": "served sooner",
    "failures.*": "less is lost, or the plan serves it too",
    "policies.budget_usd": "no less than the cost",
    "policies.quotas.*.most": "no less than what is used",
    "policies.shares.*.most_fraction": "no less than what is served",
    "request_costs.*.usd_per_request": "of a route that is not used in normal operation",
    "utilisation.*": "filled no further than that",
    "workloads.*.burst_factor": "the replicas carry it",
    "workloads.*.cached_fraction": "the replicas carry it",
    "workloads.*.mean_*_tokens": "the replicas carry it",
}
"""Facts of the study that the plan does not hinge on: it is feasible and costs as much with others (bounds apart)."""


def tiny() -> Study:
    return random_study(17)


def rich() -> Study:
    """A small study with every kind of number in it."""
    study = random_study(7, "small")
    return study.model_copy(
        update={
            "demand": tuple(
                d.model_copy(
                    update={
                        "low_requests_per_second": d.requests_per_second / 2,
                        "high_requests_per_second": d.requests_per_second * 1.5,
                    }
                )
                for d in study.demand
            ),
            "request_costs": tuple(
                RequestCost(origin=o.name, site=s.id, usd_per_request=1e-5 * (1 + i + j))
                for i, o in enumerate(study.origins)
                for j, s in enumerate(study.sites)
            ),
            "machine_types": tuple(m.model_copy(update={"power_kw": 10.0}) for m in study.machine_types),
            "sites": tuple(s.model_copy(update={"power_kw": 400.0, "load_gib_per_second": 20.0}) for s in study.sites),
            "tiers": tuple(
                t.model_copy(update={"outage_usd_per_request": 0.01, "first_token_ms": 500.0, "per_token_ms": 50.0})
                for t in study.tiers
            ),
            "policies": Policies(
                budget_usd=1e6,
                quotas=(Quota(name="all", pools=("*",), most=1000.0),),
                shares=(Share(component=f"provider:{study.sites[0].provider}", most_fraction=0.9),),
            ),
            "workloads": tuple(w.model_copy(update={"burst_factor": 1.1}) for w in study.workloads),
            "study": "rich",
        }
    )


def numbers(data: Any, path: Path = ()) -> Iterator[tuple[Path, int | float]]:
    """Every number of a JSON value with its path."""
    if isinstance(data, dict | list):
        for key, inner in data.items() if isinstance(data, dict) else enumerate(data):
            yield from numbers(inner, (*path, key))
    elif isinstance(data, int | float) and not isinstance(data, bool):
        yield path, data


def changed(data: Any, path: Path, value: float) -> Any:
    """The JSON value with one number replaced; the rest is shared."""
    if not path:
        return value
    copy = data.copy()
    copy[path[0]] = changed(data[path[0]], path[1:], value)
    return copy


def others(value: int | float) -> list[int | float]:
    """By a factor, in sign, by one, to zero."""
    factor = value * 2 if isinstance(value, int) else value * 1.1
    return [v for v in (factor, -value, value + 1, type(value)(0)) if v != value]


def sealed_again(data: Any, path: Path, value: float) -> PlanFile:
    """The corrupted file as whoever knows the digests would write it."""
    bad = PlanFile.model_validate(changed(data, path, value))
    text = bad.model_dump(mode="json", by_alias=True)
    bad = bad.model_copy(update={"study_sha256": sha256(text["study"])})
    return bad.model_copy(update={"digest_sha256": digest(bad.model_dump(mode="json", by_alias=True))})


def kind_of(path: Path) -> str:
    """The path without positions and names that the study gives."""
    text = ".".join("*" if isinstance(part, int) else part for part in path)
    text = re.sub(r"\.(kept|loaded|occupied)\..*", r".\1.*", text)
    return re.sub(r"\.(shed|lost)\..*", r".\1.*", text)


def known(kind: str) -> bool:
    study = kind.removeprefix("study.")
    kinds = STUDY if study != kind else EXPLANATIONS | SLACK
    return any(fnmatchcase(study, pattern) for pattern in kinds)


def rescaling() -> Study:
    """A tiny study whose gateways fail over by themselves: its plan has limits, and one that is re-solved beside."""
    return random_study(17).model_copy(update={"failover": "rescale", "study": "rescaling"})


@cache
def planned(made: Callable[[], Study]) -> PlanFile:
    """A plan of one of the studies with units of the low and high demand plans beside its own, made once."""
    return make_plan(made(), no_regret=True)


@pytest.fixture
def built_once(monkeypatch) -> Callable[[Study], None]:
    """Have the problem of one study, which no corruption touches, built once for all audits of it."""

    def once(of: Study) -> None:
        problems: dict[Any, Problem] = {}

        def build_or_the_same(study: Study, *case: str, **more: bool) -> Problem:
            key = (*case, *more.items())
            if study is not of:
                return build(study, *case, **more)
            if key not in problems:
                problems[key] = build(study, *case, **more)
            return problems[key]

        monkeypatch.setattr("planner.plan.decisions.build", build_or_the_same)

    return once


@pytest.mark.parametrize("made", [tiny, rich, rescaling], ids=lambda made: made.__name__)
def test_what_matters_is_caught(made):
    plan = planned(made)
    assert audit(plan).passed and not drill_plan(plan).broken and not drill_state_claims(plan)
    data = plan.model_dump(mode="json", by_alias=True)
    every = [(path, value, other) for path, value in numbers(data) for other in others(value)]
    counts, unknown, wrong = defaultdict(int), [], []
    for path, value, other in random.Random(0).sample(every, CORRUPTIONS):
        where = f"{'.'.join(map(str, path))}: {value} -> {other}"
        try:
            bad = sealed_again(data, path, other)
        except ValidationError:
            counts["refused"] += 1
            continue
        if not audit(bad).passed:
            counts["caught"] += 1
            continue
        counts["let through"] += 1
        if not known(kind_of(path)):
            unknown.append(where)
        wrong += [f"{where}: {what}" for what in matters(bad, plan)]
    assert unknown == [], "let through, and not in the lists of what cannot matter"
    assert wrong == [], "let through, but it matters"
    assert min(counts.values()) > 0 and sum(counts.values()) == CORRUPTIONS, dict(counts)


def matters(bad: PlanFile, plan: PlanFile) -> Iterator[str]:
    """What a corruption changes of the plan's own numbers, by the costs, the rules and the drill."""
    p = build(bad.study, bad.demand_case)
    x = decisions_of(bad, p)
    (usd,) = cost_usd(full(p), as_vectors(p, x)).tolist()
    for stated in (bad.proof.cost_usd, plan.proof.cost_usd, sum(bad.costs_usd.values())):
        if usd != pytest.approx(stated, rel=1e-6, abs=1e-6):
            yield f"costs {usd} instead of {stated}"
    rows = [row for rule in RULES for row in rows_of(rule.__name__, p, x)]
    yield from (f"{row.key} {row.lhs} {row.sense} {row.rhs}" for row in rows if row.shortfall > 1e-6 * row.scale)
    if drill_plan(bad).broken:
        yield "the drill breaks"
    yield from (f"drill: {claim}" for claim in drill_state_claims(bad))


def test_the_lists_name_what_is_there():
    """No pattern that fits no number of a plan: a field that is renamed leaves no hole behind."""
    plans = [*map(planned, (rich, tiny, rescaling)), make_plan(random_study(3, "small"), no_regret=True)]
    kinds = {kind_of(path) for one in plans for path, _ in numbers(one.model_dump(mode="json", by_alias=True))}
    answer = {kind for kind in kinds if not kind.startswith("study.")}
    given = {kind.removeprefix("study.") for kind in kinds - answer}
    unused = [k for k in EXPLANATIONS | SLACK if not any(fnmatchcase(kind, k) for kind in answer)]
    unused += [k for k in STUDY if not any(fnmatchcase(kind, k) for kind in given)]
    assert unused == []


def test_no_number_of_the_answer_is_below_zero(built_once):
    """Nor what a plan merely tells: units of other plans, passes, bounds, marginal values."""
    plan = planned(rich)
    built_once(plan.study)
    data = plan.model_dump(mode="json", by_alias=True)
    let_through = []
    for path, value in numbers({key: part for key, part in data.items() if key != "study"}):
        try:
            bad = sealed_again(data, path, -value if value else -1)
            if audit(bad.model_copy(update={"study": plan.study})).passed:
                let_through.append(kind_of(path))
        except ValidationError:
            pass
    assert sorted(set(let_through)) == []


@pytest.mark.parametrize(
    ("field", "change", "what"),
    [
        ("bottlenecks", {"unit": "bananas"}, "the study has it in"),
        ("bottlenecks", {"limit": "ghost"}, "not something the study knows"),
        ("bottlenecks", {"replanned_usd": 1e12}, "more is saved than is paid"),
        ("drivers", {"normal": ["site:aws/s0"]}, "not a pool of the study"),
        ("drivers", {"": ["normal"]}, "not something the study knows"),
        ("no_regret", {"when": "never"}, "not something the study knows"),
        ("no_regret", {"base_units": 77}, "base units are not those of the plan"),
        ("no_regret", None, "missing: the plan has units of it"),
    ],
)
def test_what_is_told_beside_the_proof_fits_the_study(field, change, what):
    plan = planned(rich)
    data = plan.model_dump(mode="json", by_alias=True)
    if field == "bottlenecks":
        limit = plan.study.policies.quotas[0]
        data["bottlenecks"] = [{"limit": limit.name, "unit": limit.unit, "marginal_usd": 1.0} | change]
    elif field == "drivers":
        data["drivers"] = {key or plan.study.pools[0].id: failures for key, failures in change.items()}
    elif change is None:
        bought = next(row for row in data["no_regret"] if row["base_units"])
        data["no_regret"] = [row for row in data["no_regret"] if row is not bought]
    else:
        data["no_regret"][0] |= change
    bad = PlanFile.model_validate(data)
    bad = bad.model_copy(update={"digest_sha256": digest(bad.model_dump(mode="json", by_alias=True))})
    assert [v.detail for v in audit(bad).violations if what in v.detail], audit(bad).violations
    assert {v.rule for v in audit(bad).violations} == {field}


def test_a_saving_below_zero_is_no_plan():
    data = planned(rich).model_dump(mode="json", by_alias=True)
    data["bottlenecks"] = [{"limit": "all", "unit": "machines", "marginal_usd": 1.0, "replanned_usd": -1e9}]
    with pytest.raises(ValidationError):
        PlanFile.model_validate(data)


# ------------------------------------------------------------------ every field of the file
def built() -> PlanFile:
    """A plan over quarters with a phase that is built, and spot that counts in no failure."""
    return make_plan(hall(), no_regret=True)


def with_spot() -> PlanFile:
    """A plan with replicas on spot machines."""
    for seed in range(200):
        study = random_study(seed)
        if any(offer.kind == "spot" for offer in study.offers):
            try:
                plan = make_plan(study, no_regret=True)
            except Infeasible:
                continue
            if any(row.non_preemptible is not None for row in plan.replicas):
                return plan
    raise AssertionError("no random study has replicas on spot")


def parts_of(data: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every part of a JSON value with its path, the study's left out: leaves, lists and mappings."""
    if path:
        yield path, data
    if isinstance(data, dict | list):
        for key, inner in data.items() if isinstance(data, dict) else enumerate(data):
            if (*path, key) != ("study",):
                yield from parts_of(inner, (*path, key))


def corruptions(value: Any, alike: list[Any]) -> Iterator[tuple[str, Any]]:
    """What might stand there instead: (in a word, the other value)."""
    if isinstance(value, bool):
        yield "turned", not value
    elif isinstance(value, int | float):
        yield from (("changed", other) for other in others(value))
    elif isinstance(value, str):
        yield "renamed", value + "x"
        yield from (("swapped", other) for other in alike[:2] if other != value)
    elif value is None:
        yield from (("given", other) for other in (1, "x"))
    elif isinstance(value, list):
        yield from (("left out", value[:i] + value[i + 1 :]) for i in {0, len(value) - 1} if value)
        if value:
            yield "twice", [*value, value[-1]]
            yield "emptied", []
    else:
        yield from (("left out", {k: v for k, v in value.items() if k != key}) for key in list(value)[:2])
        if value:
            key = next(iter(value))
            yield "renamed", {f"{k}x" if k == key else k: v for k, v in value.items()}
            yield "emptied", {}


def named(kind: str, patterns: Iterable[str]) -> bool:
    """Whether a field, or what it stands in, is among those that are named."""
    return any(fnmatchcase(kind, p) or fnmatchcase(kind, f"{p}.*") for p in patterns)


MOST_ALIKE = 3
"""Corruptions of one kind of field in one way that are tried in a plan."""


@pytest.mark.parametrize("made", [tiny, rich, rescaling, built, with_spot], ids=lambda made: made.__name__)
def test_every_field_is_refused_caught_or_named(made, built_once):
    """Whoever changes a field of the answer and seals the file anew is found out, or the audit names the field."""
    plan = made() if made in (built, with_spot) else planned(made)
    built_once(plan.study)
    data = plan.model_dump(mode="json", by_alias=True)
    every, tried, unnamed, wrong = list(parts_of(data)), Counter[str](), [], []
    alike = defaultdict(list)
    for path, value in every:
        if isinstance(value, str) and value not in alike[kind_of(path)]:
            alike[kind_of(path)].append(value)
    random.Random(0).shuffle(every)
    for path, value in every:
        kind = kind_of(path)
        for word, other in corruptions(value, alike[kind]):
            tried[f"{kind} {word}"] += 1
            if kind == "digest_sha256" or tried[f"{kind} {word}"] > MOST_ALIKE:
                continue
            try:
                bad = sealed_anew(changed(data, path, other)).model_copy(update={"study": plan.study})
            except ValidationError:
                continue
            if bad.model_copy(update={"digest_sha256": plan.digest_sha256}) == plan:
                continue
            checked = bad.study_sha256 == plan.study_sha256 and audit(bad).passed
            if checked and not named(kind, not_checked(bad)):
                (unnamed if kind not in SLACK and not named(kind, SLACK) else wrong).append((kind, word, path, other))
    assert unnamed == [], "let through, and not named as not checked"
    for _, word, path, other in wrong:
        assert list(matters(sealed_anew(changed(data, path, other)), plan)) == [], (word, path, other)
    assert sum(tried.values()) > 150


def sealed_anew(data: Any) -> PlanFile:
    """The corrupted answer with its own digest made good, that of the study as it stands in the file."""
    bad = PlanFile.model_validate(data)
    return bad.model_copy(update={"digest_sha256": digest(bad.model_dump(mode="json", by_alias=True))})


# ------------------------------------------------------------------ plans beside the plan
@cache
def compared(name: str) -> PlanFile:
    """A plan that is compared with another one, for which machines are bought in normal operation."""
    empty = {"failover": "rescale", "holdings": (), "claims": ()}
    return make_plan(random_study(0).model_copy(update=empty)) if name == "re_solved" else planned(rich)


def beside(name: str, **changes: Any) -> PlanFile:
    """A plan with changes to one that it is compared with; costs and bound add up."""
    plan = compared(name)
    data = plan.model_dump(mode="json", by_alias=True)
    other = data[name]
    for field, change in changes.items():
        other[field] = {**other[field], **change} if field == "costs_usd" else change
    other["cost_usd"] = sum(other["costs_usd"].values())
    other["bound_usd"] = min(other["bound_usd"], other["cost_usd"])
    return sealed_anew(data)


def nothing(name: str) -> dict[str, Any]:
    return {"purchases": [], "builds": [], "costs_usd": dict.fromkeys(getattr(compared(name), name).costs_usd, 0.0)}


@pytest.mark.parametrize("name", BESIDE)
def test_a_plan_beside_it_serves_normal_operation_and_costs_what_it_can(name):
    assert audit(beside(name)).passed
    emptied = audit(beside(name, **nothing(name)))
    assert [v for v in emptied.violations if v.rule == f"{name}.purchases" and "normal operation is short" in v.detail]
    for component in ("unserved_requests", "outages"):
        dearer = audit(beside(name, costs_usd={component: 1000.0}))
        assert [v for v in dearer.violations if (v.rule, v.key) == (f"{name}.costs_usd", component)]
    ghost = audit(beside(name, builds=[{"build_out": "nowhere:ghost", "when": "period-1", "units": 1}]))
    assert [v for v in ghost.violations if v.rule == f"{name}.builds" and "not something the study knows" in v.detail]
    bought = [x.model_dump() for x in getattr(beside(name), name).purchases]
    twice = audit(beside(name, purchases=[*bought, bought[0] | {"units": 0}]))
    assert [v for v in twice.violations if v.rule == f"{name}.purchases" and "stated 2 times" in v.detail]


def test_requests_of_a_plan_beside_it_cost_no_more_than_the_dearest_routes():
    """rich: every origin and site has its cost of a request."""
    plan = planned(rich)
    dearest = max(row.usd_per_request for row in plan.study.request_costs)
    year = sum(d.requests_per_second for d in plan.study.demand) * 3600 * plan.study.hours_per_month
    for usd, passes in ((dearest * year * 1.01, False), (0.0, False), (plan.without_goals.costs_usd["requests"], True)):
        result = audit(beside("without_goals", costs_usd={"requests": usd}))
        assert [v.key for v in result.violations if v.rule == "without_goals.costs_usd"] == (
            [] if passes else ["requests"]
        )


def test_the_audit_prints_what_it_does_not_check(tmp_path):
    (tmp_path / "plan.json").write_text(plan_text(planned(rich)), encoding="utf-8")
    page = CliRunner().invoke(app, ["audit", str(tmp_path / "plan.json")])
    data = json.loads(CliRunner().invoke(app, ["audit", str(tmp_path / "plan.json"), "--format", "json"]).stdout)
    assert page.exit_code == 0
    for field in not_checked(planned(rich)):
        assert field in page.stdout
    for field in (
        "bottlenecks",
        "drivers",
        "no_regret",
        "proof.bound_usd",
        "without_goals.costs_usd.unserved_requests",
    ):
        assert field in not_checked(planned(rich)), "named whatever the file holds"
    assert data["sections"]["not checked"] == not_checked(planned(rich))
