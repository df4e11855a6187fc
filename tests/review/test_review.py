"""The review and the check: every field shows or decides something; what goals rest on; narrow terminals."""

import json
import re
import typing
from dataclasses import replace
from datetime import date, timedelta
from operator import itemgetter
from pathlib import Path

import pytest
from buildouts import HALL, START, phase, years
from helpers import write_study
from pydantic import ValidationError
from reclaimed import reclaimable
from sections import table
from studies import offer, random_study

from planner.drill import drill_plan
from planner.errors import InputError
from planner.plan.decisions import decisions_of
from planner.plan.file import sealed, sha256
from planner.plan.in_hand import in_hand
from planner.plan.plan import make_plan
from planner.problem.arrays import full
from planner.problem.build import build
from planner.problem.rules.failures import no_replica_before_its_cold_start_ends, what_loads_occupies
from planner.problem.rules.index_sets import as_vectors
from planner.questions.margins import margins
from planner.questions.near_figures import near_figures
from planner.review.answer import review_plan
from planner.review.assumptions import assumptions_of_goals, floors
from planner.review.check import check_study
from planner.review.recovery import slices_of
from planner.review.render import render
from planner.review.report import Column, Report, Section
from planner.solve.search import Effort
from planner.study.dependencies import NORMAL, dependency_graph
from planner.study.memory import memory_needed_gib
from planner.study.read import read_study
from planner.study.records.base import Record
from planner.study.records.buildout import TariffStep
from planner.study.records.study import Study

RICHER = [
    ("study.yaml", "policies:\n", "policies:\n  terms_beyond_horizon: true\n"),
    ("inventory/alpha/offers.csv", "yearly,commitment,12,14,50", "yearly,commitment,36,14,50"),
    (
        "inventory/alpha/prices.csv",
        "site,machine_type,offer,price_usd_per_machine_hour,",
        "site,machine_type,offer,price_usd_per_machine_hour,low_usd_per_machine_hour,high_usd_per_machine_hour,",
    ),
    ("inventory/alpha/prices.csv", "on_demand,40,", "on_demand,40,,,"),
    ("inventory/alpha/prices.csv", "yearly,25.5,", "yearly,25.5,20.4,38.25,"),
    ("study.yaml", "machines: 4}", "machines: 2}"),
    ("study.yaml", "first_token_ms: 2000", "first_token_ms: 2000\n    per_token_ms: 25"),
    (
        "study.yaml",
        "mean_output_tokens: 200}",
        "mean_output_tokens: 200, precisions: [bf16], features: [tools], jurisdictions: [GB, US], site_labels: [eu]}",
    ),
    ("models/small.yaml", "load_seconds: 120", "load_seconds: 120\n    features: [tools]"),
    ("models/small.yaml", "load_seconds: 60", "load_seconds: 60\n    features: [tools]"),
    ("inventory/sites.csv", "US,,assumed", "US,eu,assumed"),
    (
        "study.yaml",
        "dependencies:\n",
        "dependencies:\n"
        "  - {component: 'site:beta/west-1', needs: {at_least: 1, of: ['power:grid', 'power:spare']}}\n"
        "  - {component: 'stack:cuda', needs: {any_of: ['power:spare']}}\n"
        "  - {component: 'pool:alpha/east-1/trn-16', needs: {all_of: ['power:grid']}}\n",
    ),
    ("demand.csv", "chat,london,10,12", "chat,london,60,72"),
    (
        "study.yaml",
        "dependencies:\n",
        "dependencies:\n  - {component: 'workload:chat', needs: {all_of: ['power:grid']}, breaks: new_logins, "
        "sessions_go_on_fraction: 0.5}\n",
    ),
    (
        "study.yaml",
        "failures:\n",
        "failures:\n  - {name: rack, lost: {'pool:alpha/east-1/trn-16': 0.05, 'power:grid': 0.2, 'power:spare': 0.3}, "
        "worst_part: true, surges: {'origin:london': 1.1}, in_maintenance: {'pool:beta/west-1/gpu-8': 0.02}, "
        "repaired: {'power:grid': 1.0}, failover: resolve, answers_wrongly: true, hours_to_find_out: 2.0}\n",
    ),
    (
        "study.yaml",
        "except: [spare]}",
        "except: [spare]}\n      - {failure: rack, serve_fraction: 0.5, within_seconds: 600, "
        "in_maintenance: {'pool:beta/west-1/gpu-8': 0.1}}",
    ),
    (
        "study.yaml",
        "policies:\n",
        "policies:\n  counted:\n  - {offers: ['beta/*'], running_fraction: 0.9, obtainable_fraction: 0.1}\n",
    ),
    ("inventory/beta/offers.csv", "kind,instrument", "kind,most_units,instrument"),
    ("inventory/beta/offers.csv", "on_demand,on_demand,pay", "on_demand,on_demand,900,pay"),
]


STORAGE = {
    "inventory/storage.csv": """\
sites,load_gib_per_second,evidence,source,as_of
beta/*,20,published,a quota made up,2025
"""
}


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """A small study with an order that binds for three years at a price known to a range, planned."""
    path = write_study(tmp_path_factory.mktemp("study"), RICHER, STORAGE)
    study, warnings = read_study(path)
    return make_plan(study, Effort()), warnings


# ------------------------------------------------------------------ every field does something
READ = {
    "Study.schema_version": "decides whether the file is read at all",
    "Dependency.breaks": "changes only together with sessions_go_on_fraction: see test_failures",
    "Component.kind": "a part of its id: reading refuses whatever names it by another",
    "Claim.from_day": "lent on some day of the only period of this study: see test_periods",
    "Claim.until": "lent on some day of the only period of this study: see test_periods",
    "Goal.outage": "becomes a failure of the study when that is read: see test_outages_played",
    "Goal.where": "the same",
    "Horizon.hours": "a record: see test_periods",
    "ColdStarts.prefix_caches": "counts where a workload says nothing of failures: see test_cold_starts",
    "Horizon.periods": "a record: see test_periods",
    "Horizon.quarters": "refused beside months that differ: see test_periods",
    "NamedFailure.answers_wrongly": "changes only together with hours_to_find_out: see test_wrong_answers",
    "NamedFailure.hours_to_new_weights": "changes only together with failover: see test_staged_recovery",
    "Profile.compile_evidence": "said of starts that compile first: see test_cold_starts",
    "Offer.ended_minutes_early": "said of contracts that follow each other: see test_renewals",
    "Offer.weeks_after_days": "the same",
    "Quota.counts": "has no other word here: see test_contracts",
    "Quota.increases": "a record: see test_contracts",
    "Study.price_book": "a record: see test_contracts",
    "Study.price_paths": "a record: see test_contracts",
    "Study.shapes": "a record: see test_periods",
    "Study.zones": "records of what was split when it was read: see test_zones",
    "Tier.deferrable_hours": "one mean hour cannot be deferred: see test_periods",
    "Tier.percentile": "counts where utilisation is by waiting: see test_by_waiting",
    "Workload.input_tokens_quantiles": "memory and waits: tests/study/test_lengths.py",
    "Workload.output_tokens_quantiles": "the same",
}
"""Fields without effect on plan, review and check, with the reason why they exist."""


def parts(record):
    """Every record of a study."""
    yield record
    for name in type(record).model_fields:
        value = getattr(record, name)
        for part in value if isinstance(value, tuple) else [value]:
            if isinstance(part, Record):
                yield from parts(part)


def changed(record, cls, name, change):
    """The record with a field of every part of one class changed."""
    update = {}
    for field in type(record).model_fields:
        value = getattr(record, field)
        if isinstance(record, cls) and field == name:
            update[field] = change(value)
        elif isinstance(value, Record):
            update[field] = changed(value, cls, name, change)
        elif isinstance(value, tuple) and any(isinstance(part, Record) for part in value):
            update[field] = tuple(changed(x, cls, name, change) if isinstance(x, Record) else x for x in value)
    return record.model_copy(update=update)


def literals(annotation):
    if typing.get_origin(annotation) is typing.Literal:
        return list(typing.get_args(annotation))
    return [x for part in typing.get_args(annotation) for x in literals(part)]


def changes(cls, name):
    """Other values that a field of this kind can have, as functions of its value; what is blank is filled by some."""
    annotation = cls.model_fields[name].annotation
    kinds, choices = str(annotation), literals(annotation)

    def other(factor, fill):
        def change(value):
            if choices and value in choices:
                return choices[(choices.index(value) + 1) % len(choices)]
            if isinstance(value, bool):
                return not value
            if isinstance(value, int):
                return max(1, round(value * factor)) + 1
            if isinstance(value, float):
                return value * factor + 1e-3
            if isinstance(value, date):
                return value + timedelta(days=round(400 * (factor - 1)))
            if isinstance(value, str):
                return "2019" if name == "as_of" else value + "x"
            if isinstance(value, tuple):
                return () if value and factor < 1 else ("xx",)
            if isinstance(value, dict):
                return {key: x * factor for key, x in value.items()}
            return blank() if value is None and fill else value

        def blank():
            if "tuple" in kinds:
                return ("xx",)
            if "date" in kinds:
                return date(2026, 7, 2)
            return factor if "float" in kinds else round(factor) if "int" in kinds else "xx" if "str" in kinds else None

        return change

    return [other(factor, fill) for factor in (0.4, 3.0, 40000.0) for fill in (False, True)]


def reviewed(plan, study):
    digest = sha256(study.model_dump(mode="json", by_alias=True))
    with_it = sealed(plan.model_copy(update={"study": study, "study_sha256": digest}))
    return render(review_plan(with_it, True), "text")


def memory_needed(plan, study):
    longest = max(c.most_tokens for c in study.context_classes)
    return [memory_needed_gib(m.facts, profile, longest) for m in study.models for profile in m.profiles]


SEEN = (
    lambda plan, study: build(study),
    lambda plan, study: [build(study, case).demand_requests_per_second for case in ("low", "high")],
    lambda plan, study: render(check_study(study, [], True), "json"),
    memory_needed,
    reviewed,
)
"""All that the optimiser sees of a study, all that a person does, and what reading refuses for want of memory."""


@pytest.fixture(scope="module")
def built():
    """A study over years in which everything that is built, promised and limited can be seen, planned."""
    more = {
        "ready_in": ("quarter-5", "quarter-6"),
        "decide_by": date(2027, 6, 30),
        "either_or": "second",
        "after": (f"{HALL}:one",),
    }
    s = years()
    half = offer("a/x/m", 30, "commitment", term_months=6.0, upfront_fraction=0.5)
    steps = (TariffStep(from_day=date(2027, 6, 1), usd_per_kwh=0.2),)
    update = {
        "build_outs": (phase("one", most=2), phase("two", **more), phase("other", either_or="second")),
        "electricity": tuple(row.model_copy(update={"steps": steps}) for row in s.electricity),
        "offers": (*s.offers, half[0]),
        "prices": (*s.prices, half[1]),
        "spend_commitments": tuple(
            k.model_copy(update={"from_day": START, "until": date(2028, 6, 30)}) for k in s.spend_commitments
        ),
        "policies": s.policies.model_copy(
            update={"capital_limits": tuple(dated(cap) for cap in s.policies.capital_limits)}
        ),
    }
    wanted = tuple(row.model_copy(update={"requests_per_second": 15.0}) for row in s.demand)
    return make_plan(s.model_copy(update={**update, "demand": wanted}), Effort())


def dated(cap):
    return cap.model_copy(update={"from_day": START})


def test_every_field_changes_the_plan_or_what_is_shown(planned, built, monkeypatch):
    """Of two studies that together say all that can be said: each field is seen in one of them.

    How far figures may move is left out: it is what the drill says of figures that are seen elsewhere, and takes time.
    """
    monkeypatch.setattr("planner.review.trust.margins", lambda *told: ())
    plans = (planned[0], built)
    assert built.builds, "the salvage of what is built is seen"
    found = [
        (plan, record, name) for plan in plans for record in parts(plan.study) for name in type(record).model_fields
    ]
    nested = {(type(record), name) for _, record, name in found if has_records(getattr(record, name))}
    fields = {(type(record), name) for _, record, name in found} - nested
    assert len(fields) > 190
    known = [[view(plan, plan.study) for view in SEEN] for plan in plans]
    dead = []
    for cls, name in sorted(fields, key=lambda f: (f[0].__name__, f[1])):
        tried: list[Study] = []
        if not any(
            differs(plan, cls, name, change, before, tried)
            for plan, before in zip(plans, known, strict=True)
            for change in changes(cls, name)
        ):
            dead.append(f"{cls.__name__}.{name}")
    assert not (without := sorted(set(dead) - READ.keys())), "; ".join(without)
    assert READ.keys() <= set(dead), f"a reason for a field that has an effect: {sorted(READ.keys() - set(dead))}"


def has_records(value):
    return isinstance(value, Record) or (isinstance(value, tuple) and any(isinstance(x, Record) for x in value))


def differs(plan, cls, name, change, known, tried):
    """Whether a change is seen anywhere; a name that leads nowhere, where it led somewhere, is seen.

    Changes that come to the same study are looked at once: those that were not seen are in `tried`.
    """
    study = changed(plan.study, cls, name, change)
    try:
        study = Study.model_validate(study.model_dump(by_alias=True, warnings=False))
    except ValidationError:
        return False
    if study == plan.study or study in tried:
        return False
    tried.append(study)
    for view, before in zip(SEEN, known, strict=True):
        try:
            if view(plan, study) != before:
                return True
        except (InputError, KeyError, StopIteration):
            return True
    return False


# ------------------------------------------------------------------ what an order costs beside its price
def test_ends_of_prices_and_what_binds_beyond_the_horizon(planned):
    plan, _ = planned
    data = json.loads(render(review_plan(plan), "json"))["sections"]
    (yearly,) = [order for order in data["order"] if order["kind"] == "commitment"]
    machines, hours = yearly["machines"], 12 * 730
    assert machines > 0 and yearly["usd"] == pytest.approx(machines * 25.5 * hours)
    ends = data["answer"]["price_ends"]
    assert ends["with_range_usd"] == pytest.approx(yearly["usd"])
    assert ends["low_usd"] == pytest.approx(machines * (20.4 - 25.5) * hours)
    assert ends["high_usd"] == pytest.approx(machines * (38.25 - 25.5) * hours)
    # 36 months from 2026-07-01, of which 12 are planned and paid in the plan
    text = render(review_plan(plan), "text")
    assert yearly["beyond_horizon_usd"] == pytest.approx(machines * 25.5 * 730 * 24)
    assert yearly["bound_until"] == "2029-06-30" and yearly["high_usd"] == pytest.approx(machines * 38.25 * hours)
    beyond = f"{machines * 25.5 * 730 * 24:,.0f} USD"
    assert f"of alpha/east-1/trn-16 until 2029-06-30, {beyond} that are in no cost here" in text
    assert (
        f"{beyond} that orders bind beyond the horizon, the last until 2029-06-30" in text[text.index("OUT OF SCOPE") :]
    )


def test_served_says_what_breaks_in_normal_operation_too(planned):
    """A plan that sheds a tenth of a flow in normal operation: the tier's own row says so, not only the audit."""
    plan, _ = planned
    normal = next(state for state in plan.states if state.failure == "normal")
    less = normal.model_copy(update={"requests_per_second": (0.9, *normal.requests_per_second[1:])})
    states = tuple(less if state is normal else state for state in plan.states)
    text = render(review_plan(sealed(plan.model_copy(update={"states": states}))), "text")
    rows = [line for line in text.splitlines() if "normal operation:" in line]
    assert sum(row.endswith("BROKEN") for row in rows) == 1 and sum(row.endswith("holds") for row in rows) == 1


# ------------------------------------------------------------------ key assumptions
def test_assumptions_by_hand(planned):
    """When provider alpha is lost, beta alone serves: all of the tier depends on what is known of it."""
    plan, _ = planned
    of_goals = assumptions_of_goals(in_hand(plan))
    named = [goal[0].goal.partition(" lost")[0] for goal in of_goals]
    assert named == ["any provider", "any power except spare", "rack", "quake"]
    by_kind = {assumption.figure.kind: assumption for assumption in of_goals[0]}
    assert by_kind["speed"].figure.name == "small/gpu short" and by_kind["speed"].failure == "provider:alpha"
    assert by_kind["speed"].evidence_fraction == pytest.approx(1.0)
    assert by_kind["stack"].figure.name == "small on cuda"
    assert "load time" not in {assumption.figure.kind for assumption in of_goals[1]}, "nothing loads within 60 s"


def test_the_weakest_evidence_is_named_first(planned):
    """One stack is measured, the other assumed: the goal that must do without the first depends on the other."""
    plan, _ = planned
    (model,) = plan.study.models
    stronger = tuple(
        q.model_copy(update={"evidence": "measured" if q.stack == "neuron" else "assumed"})
        for q in model.qualifications
    )
    points = [
        profile.model_copy(
            update={"classes": tuple(c.model_copy(update={"evidence": "measured"}) for c in profile.classes)}
        )
        for profile in model.profiles
    ]
    update = {"qualifications": stronger, "profiles": tuple(points)}
    study = plan.study.model_copy(update={"models": (model.model_copy(update=update),)})
    first = [of_goal[0] for of_goal in assumptions_of_goals(in_hand(plan.model_copy(update={"study": study})))]
    assert first[0].figure.name == "small on cuda" and first[0].figure.evidence == "assumed"
    # before a plan: with both providers alive cuda can be avoided, with alpha lost it cannot
    best = floors(study, build(study), dependency_graph(study))
    found = {floor.goal.partition(" lost")[0]: floor for floor in best}
    assert found["any provider"].cases == {"measured": 2, "assumed": 2}
    assert found["any provider"].figure.name == "small on cuda" and found["any provider"].placements == 1
    assert found["any power except spare"].figure.name == "small on cuda", "the grid feeds alpha's pool"
    assert found["quake"].cases == {"measured": 2}


def test_what_the_quickstart_can_rest_on_at_best():
    """docs/evidence.md says so: with cuda lost all is served at estimated speeds, from wherever it comes."""
    study, _ = read_study(Path(__file__).parents[2] / "examples" / "quickstart")
    best = floors(study, build(study), dependency_graph(study))
    found = {(floor.tier, floor.goal.partition(" lost")[0]): floor for floor in best}
    assert len(found) == 6
    stack = found["long-context", "any stack"]
    assert stack.cases == {"estimated": 24} and stack.case.endswith("when stack cuda is lost")
    assert stack.figure.kind == "speed" and stack.figure.name.startswith("gpt-oss-120b/")
    assert found["interactive", "any stack"].cases == {"measured": 36, "estimated": 12}
    assert found["interactive", "any provider"].cases == {"measured": 48}


# ------------------------------------------------------------------ how far figures may move
def test_load_times_may_grow_until_the_last_moment(planned):
    """Replicas that take 120 s to load, started at detection (10 s), run at 600 s up to 590 / 120 times as slow."""
    plan, _ = planned
    p = build(plan.study)
    x = as_vectors(p, decisions_of(plan, p))
    near = min((m for m in near_figures(in_hand(plan)) if m.kind == "load time"), key=lambda m: m.move_fraction)
    (margin,) = [m for m in margins(plan) if m.kind == "load time"]
    assert near.figure == margin.figure == "small/trn" and 1 <= near.guess <= margin.breaks_at
    begins = [10.0, *(c for c in p.deadlines_seconds[near.failure] if c < margin.deadline_seconds)]
    assert near.guess in [pytest.approx((margin.deadline_seconds - at) / 120) for at in begins]
    # with loads that long the plan's own rules still hold, with a little more they do not
    for factor, holds in ((near.guess * 0.999, True), (near.guess * 1.001, False)):
        slower = replace(p, load_seconds={e: s * factor for e, s in p.load_seconds.items()})
        s = (p.hours[0], near.failure, margin.deadline_seconds)
        short = [
            float(rows.shortfall().max(initial=0.0))
            for rule in (no_replica_before_its_cold_start_ends, what_loads_occupies)
            for rows in rule(full(slower), x, s)
        ]
        assert (max(short) <= 1e-6) == holds, (factor, short)


def test_a_round_trip_near_its_limit_is_probed(planned):
    """Tokyo's way to beta is estimated by distance; the tier's limit is put right above it."""
    plan, _ = planned
    p = build(plan.study)
    reach = p.round_trip_ms["tokyo", "beta/west-1"]
    assert reach.evidence == "estimated"
    limit = reach.round_trip_ms * 1.02
    tiers = tuple(t.model_copy(update={"round_trip_ms": limit}) if t.name == "gold" else t for t in plan.study.tiers)
    study = plan.study.model_copy(update={"tiers": tiers})
    trips = sorted(
        (m for m in near_figures(in_hand(plan.model_copy(update={"study": study}))) if m.kind == "round trip"),
        key=lambda m: m.guess,
    )
    near, other = {m.figure: m for m in reversed(trips)}["tokyo to beta/west-1"], trips[-1]
    assert near.figure == "tokyo to beta/west-1" and near.guess == pytest.approx(1.02)
    assert near.failure == "provider:alpha", "only then nothing else serves Tokyo"
    assert other.figure == "tokyo to alpha/east-1"
    assert other.guess == pytest.approx(limit / p.round_trip_ms["tokyo", "alpha/east-1"].round_trip_ms)
    (margin,) = [m for m in margins(plan.model_copy(update={"study": study})) if m.kind == "round trip"]
    assert margin.figure == near.figure and margin.factor == pytest.approx(1.02, abs=1e-4) == margin.breaks_at
    assert not [m for m in margins(plan) if m.kind == "round trip"], "400 ms are far beyond its error"


# ------------------------------------------------------------------ narrow terminals
@pytest.mark.parametrize("columns", [60, 80, 100, 120, 160])
def test_every_number_and_name_is_whole_at_any_width(planned, columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    plan, warnings = planned
    for report in (review_plan(plan, True), check_study(plan.study, warnings, True)):
        lines = render(report, "text").splitlines()
        assert max(map(len, lines)) <= columns
        words = set(re.split(r"[\s;,]+", " ".join(["", *lines])))
        cells = [cell for section in report.sections for row in table(section) for cell in row.values()]
        assert len(cells) > 100
        assert {word for cell in cells for word in re.split(r"[\s;,]+", cell) if len(word) <= 40} - words == set()


def test_a_table_that_does_not_fit_has_two_lines_a_row(monkeypatch):
    columns = (Column("pool", itemgetter(0)), Column("USD", itemgetter(1)), Column("note", itemgetter(2)))
    section = Section("T", (), columns, (("a" * 38, "1,234 M", "n" * 30), ("b", "5 %", "")))
    monkeypatch.setenv("COLUMNS", "60")
    lines = render(Report("title", True, (section,)), "text").splitlines()
    assert lines[3:] == [
        f"pool{'':34}      USD",
        "    note",
        "─" * 47,
        f"{'a' * 38}  1,234 M",
        f"    {'n' * 30}",
        f"b{'':37}      5 %",
    ]
    monkeypatch.setenv("COLUMNS", "80")
    assert render(Report("title", True, (section,)), "text").splitlines()[3].split() == ["pool", "USD", "note"]


def test_a_number_stays_with_its_unit(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    line = "x" * 53 + " 100 % of it"
    lines = render(Report("t", True, (Section("T", (line,)),)), "text").splitlines()
    assert lines[3:] == ["  " + "x" * 53, "    100 % of it"]


# ------------------------------------------------------------------ who is served when
def test_the_recovery_timeline_says_who_is_served_from_the_begin_until_repair():
    """Ten machines at b come back at once and load for 300 s: nothing is served for 310 s, all of it after that."""
    plan = make_plan(reclaimable(), Effort(gap_fraction=0.0))
    (section,) = [s for s in review_plan(plan, True).sections if s.title == "RECOVERY TIMELINE"]
    assert [(row["at"], row["served"], row["reclaimed"]) for row in table(section)] == [
        ("0 s", "0 %", ""),
        ("310.001 s", "100 %", "100 %"),
        ("repaired, 10 h", "100 %", ""),
    ]
    begin, *_, last, repaired = section.data
    assert begin.event == "begin" and begin.served_fraction == 0.0
    assert last.reclaimed_fraction == pytest.approx(1.0) and repaired.warm_fraction == pytest.approx(1.0)


@pytest.mark.parametrize("seed", [1, 5, 9])
def test_what_is_served_at_once_is_what_the_drill_replays(seed):
    """Before anything is moved: in every failure the same share of every tier, by other arithmetic."""
    plan = make_plan(random_study(seed, "small"), Effort(gap_fraction=0.05))
    held = in_hand(plan)
    slices = [row for f in held.problem.failures if f != NORMAL for row in slices_of(held.problem, held.vectors, f)]
    reviewed = {(row.failure, row.tier): row.served_fraction for row in slices if row.event == "begin"}
    drilled = {(r.failure, r.tier): r.served_fraction for r in drill_plan(plan).rows if r.deadline_seconds == 0}
    assert reviewed == pytest.approx({key: drilled[key] for key in reviewed}, abs=1e-6)
    assert min(reviewed.values()) < 1, "something is lost"
