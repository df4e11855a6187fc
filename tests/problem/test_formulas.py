"""Named formulas, the graph, failures, clocks and the network: worked numbers."""

import re
from pathlib import Path

import pytest
import yaml
from studies import SOURCED, machine_type, model, offer, profile, site, study, workload

from planner.problem.algebra import Sparse
from planner.problem.arrays import full
from planner.problem.build import build
from planner.problem.decisions import no_decisions
from planner.problem.eligibility import replica_seconds_per_request
from planner.problem.failures import deadlines_of
from planner.problem.problem import HOUR, PERIOD, Problem
from planner.problem.rules.formulas import due_fraction, machines_held_or_bought, machines_up
from planner.problem.rules.index_sets import as_vectors
from planner.study.dependencies import NORMAL, availability, dependency_graph, expand
from planner.study.latency import (
    NINE_OF_TEN_WITHIN_MS,
    PROXY_KM,
    SAME_PLACE_MS,
    estimated_round_trip_ms,
    fibre_round_trip_ms,
    great_circle_km,
    reaches,
)
from planner.study.records.inventory import Pool, RoundTrip
from planner.study.records.serving import Model, OperatingPoint
from planner.study.records.study import (
    Claim,
    Component,
    Dependency,
    Goal,
    Holding,
    NamedFailure,
    Needs,
    Origin,
    Study,
    Tier,
)

MODELS = Path(__file__).parents[2] / "models"
MEASURED = {
    # id: input tokens, output tokens, concurrency, time to first token [ms], time per output token [ms]
    # rows of aic-core/src/aiconfigurator_core/systems/silicon_sample.csv at github.com/ai-dynamo/aiconfigurator
    # (NVIDIA, Apache-2.0), measured 2026
    "2026_04_06_gpt_oss_120b_h100_sxm_vllm_fp4_agg_1024x1024_c64_tp2_ep1_381": (1024, 1024, 64, 169.02, 14.8319),
    "2026_04_06_gpt_oss_120b_h100_sxm_vllm_fp4_agg_8192x1024_c64_tp2_ep1_376": (8192, 1024, 64, 975.6, 26.3153),
    "2026_04_06_gpt_oss_120b_h200_sxm_trtllm_fp4_agg_1024x1024_c32_tp1_ep1_405": (1024, 1024, 32, 156.33, 15.2584),
    "2026_04_06_gpt_oss_120b_h200_sxm_trtllm_fp4_agg_8192x1024_c32_tp1_ep1_287": (8192, 1024, 32, 674.56, 21.1225),
    "2026_04_06_gpt_oss_120b_b200_sxm_vllm_fp4_agg_1024x1024_c128_tp1_ep1_1059": (1024, 1024, 128, 180.73, 13.4453),
    "2026_04_06_gpt_oss_120b_b200_sxm_vllm_fp4_agg_8192x1024_c128_tp1_ep1_1060": (8192, 1024, 128, 646.91, 21.3748),
    "2026_04_06_llama_3_1_70b_h100_sxm_vllm_fp8_agg_1024x1024_c64_tp4_ep1_684": (1024, 1024, 64, 256.36, 19.5146),
    "2026_04_06_llama_3_1_70b_h100_sxm_vllm_fp8_agg_8192x1024_c64_tp4_ep1_873": (8192, 1024, 64, 1744.92, 53.4947),
    "2026_04_06_llama_3_1_70b_h200_sxm_trtllm_fp8_agg_1024x1024_c32_tp2_ep1_632": (1024, 1024, 32, 565.09, 15.4275),
    "2026_04_06_llama_3_1_70b_h200_sxm_trtllm_fp8_agg_8192x1024_c32_tp2_ep1_770": (8192, 1024, 32, 1695.93, 34.618),
    "2026_04_06_llama_3_1_70b_b200_sxm_trtllm_fp8_agg_1024x1024_c64_tp2_ep1_785": (1024, 1024, 64, 467.61, 13.3192),
    "2026_04_06_llama_3_1_70b_b200_sxm_trtllm_fp8_agg_8192x1024_c64_tp2_ep1_490": (8192, 1024, 64, 1436.02, 36.0284),
    "qwen_qwen3_32b_qwen_qwen3_32b_h100_sxm_trtllm_agg_1024x128_c8_tp1_epnone_1": (1024, 128, 8, 271.98, 18.652),
    "qwen_qwen3_32b_qwen_qwen3_32b_h100_sxm_trtllm_agg_4096x128_c8_tp1_epnone_7": (4096, 128, 8, 1123.73, 27.836),
}


def rows_named(source: str) -> list[str]:
    """Row ids in a source, written `common_start_{end, end}`."""
    rows = re.search(r"rows (\S*)\{(.*?)\}", source)
    return [rows[1] + end.strip() for end in rows[2].split(",")] if rows else []


def measured_points() -> dict[str, tuple[OperatingPoint, list[str]]]:
    points = {}
    for name in ("gpt-oss-120b", "llama-3.3-70b", "qwen3-32b"):
        data = yaml.safe_load((MODELS / f"{name}.yaml").read_text(encoding="utf-8"))
        for shape in Model.model_validate(data).profiles:
            for point in shape.classes:
                if point.evidence == "measured":
                    points[f"{name}/{shape.name}/{point.context_class}"] = (point, rows_named(point.source))
    return points


# ------------------------------------------------------------------ replica-seconds
def test_replica_seconds_of_a_request():
    (point,) = profile("m", "s", 50.0).classes
    point = point.model_copy(update={"prefill_tokens_per_second": 10_000.0})
    # 1000 · (1 − 0.4) / 10000 + 200 / 50 = 0.06 + 4
    asked = workload("w", mean_input_tokens=1000.0, mean_output_tokens=200.0, cached_fraction=0.4)
    assert replica_seconds_per_request(asked, point) == pytest.approx(4.06)


def test_measured_points_take_the_time_that_was_measured():
    points = measured_points()
    assert len(points) >= 10
    for name, (point, rows) in points.items():
        assert len(rows) == 2, f"{name} does not name its two rows"
        for row in rows:
            tokens_in, tokens_out, in_flight, first_token_ms, per_token_ms = MEASURED[row]
            asked = workload("w", mean_input_tokens=float(tokens_in), mean_output_tokens=float(tokens_out))
            # Little: a request is there (ttft + (out − 1) · tpot), and `concurrency` of them are there at a time
            measured = (first_token_ms + (tokens_out - 1) * per_token_ms) / 1000 / in_flight
            assert replica_seconds_per_request(asked, point) == pytest.approx(measured, rel=0.01), (name, row)


def test_one_measured_point_by_hand():
    # gpt-oss-120b, 2 H100: (169.02 + 1023 · 14.8319) ms / 64 = (0.16902 + 15.17303) / 64 = 0.23972 s
    point, _ = measured_points()["gpt-oss-120b/p5-mxfp4-tp2-128k/short"]
    asked = workload("w", mean_input_tokens=1024.0, mean_output_tokens=1024.0)
    assert replica_seconds_per_request(asked, point) == pytest.approx(0.23972, rel=1e-3)


# ------------------------------------------------------------------ a worked study
def worked(**parts) -> Study:
    """Two providers; a holds 10 machines of m at a/x, b 4 machines of n at b/y; a service that both sites may need."""
    fields = {
        "sites": (site("a/x"), site("b/y", (50.0, 20.0))),
        "machine_types": (machine_type("m"), machine_type("n")),
        "pools": (
            Pool(site="a/x", machine_type="m", usable_fraction=0.9, spare_machines=0.5),
            Pool(site="b/y", machine_type="n"),
        ),
        "bought": [
            offer("a/x/m", 2, "on_demand"),
            offer("a/x/m", 1, "spot"),
            offer("b/y/n", 3, "commitment", machines_per_unit=4),
        ],
        "models": (model("m", [profile("m", "cuda", 5), profile("n", "neuron", 4, load_seconds=40.0)]),),
        "tiers": (Tier(name="t"),),
        "workloads": (workload("w"),),
        "demand": {("w", "o"): 10},
        "holdings": (Holding(pool="a/x/m", machines=10), Holding(pool="b/y/n", machines=4)),
    }
    return study(**{**fields, **parts})


A, B = "m/m-cuda@a/x/m", "m/n-neuron@b/y/n"


# ------------------------------------------------------------------ availability
def value(lost: dict[str, float], *dependencies: Dependency) -> dict[str, float]:
    names = ("p1", "p2", "p3")
    parts = worked(components=tuple(Component(name=n, kind="power") for n in names), dependencies=dependencies)
    return availability(dependency_graph(parts), lost)


def needs(**kinds) -> Dependency:
    return Dependency(component="site:a/x", needs=Needs(**kinds))


P = ("power:p1", "power:p2", "power:p3")


def test_built_in_graph():
    fraction = value({"provider:a": 1.0})
    assert [fraction[c] for c in ("region:a/x", "site:a/x", "pool:a/x/m", f"placement:{A}")] == [0, 0, 0, 0]
    assert [fraction[c] for c in ("site:b/y", "pool:b/y/n", f"placement:{B}", "stack:cuda")] == [1, 1, 1, 1]
    fraction = value({"stack:cuda": 1.0})
    assert (fraction["pool:a/x/m"], fraction[f"placement:{A}"], fraction[f"placement:{B}"]) == (1, 0, 1)
    fraction = value({"site:a/x": 0.3, "stack:cuda": 0.5})  # min(1 − 0.3, 1 − 0.5)
    assert fraction["pool:a/x/m"] == pytest.approx(0.7) and fraction[f"placement:{A}"] == 0.5


@pytest.mark.parametrize(
    ("kinds", "fraction"),
    [
        ({"all_of": P}, 0.25),  # the least of 0.25, 0.6, 1
        ({"any_of": P}, 1.0),  # the most
        ({"any_of": P[:2]}, 0.6),
        ({"at_least": 1, "of": P}, 1.0),  # the largest, second and third of 1, 0.6, 0.25
        ({"at_least": 2, "of": P}, 0.6),
        ({"at_least": 3, "of": P}, 0.25),
        ({"at_least": 4, "of": P}, 0.0),  # four of three never live
        ({"all_of": (P[2], Needs(any_of=P[:2]))}, 0.6),  # min(1, max(0.25, 0.6))
        ({"any_of": (P[0], Needs(at_least=2, of=P[1:]))}, 0.6),  # max(0.25, second of 0.6 and 1)
    ],
)
def test_partial_losses(kinds, fraction):
    fractions = value({"power:p1": 0.75, "power:p2": 0.4}, needs(**kinds))
    assert fractions["site:a/x"] == pytest.approx(fraction)
    assert fractions[f"placement:{A}"] == pytest.approx(fraction)
    assert fractions["site:b/y"] == 1.0


def test_no_more_available_than_what_remains_of_itself():
    assert value({"site:a/x": 0.5, "power:p1": 0.75}, needs(any_of=P))["site:a/x"] == 0.5
    assert value({"site:a/x": 0.5}, needs(all_of=P[:1]), needs(all_of=P[1:2]))["site:a/x"] == 0.5
    both = value({"power:p1": 1.0}, needs(all_of=P[:1]), needs(all_of=P[1:2]))
    assert both["site:a/x"] == 0.0, "all that is written down must hold"


def test_a_cycle_is_refused():
    around = (
        Dependency(component="power:p1", needs=Needs(all_of=("power:p2",))),
        Dependency(component="power:p2", needs=Needs(all_of=("power:p1",))),
    )
    with pytest.raises(ValueError, match="cycle"):
        value({}, *around)


# ------------------------------------------------------------------ failures
def ids(goal: Goal, **parts) -> list[str]:
    asked = worked(**parts)
    return [failure.id for failure in expand(goal, asked, dependency_graph(asked))]


def test_failures_of_a_goal():
    assert ids(Goal(any="site", within_seconds=60.0)) == ["site:a/x", "site:b/y"]
    assert ids(Goal(any="site", of=2, within_seconds=60.0)) == ["site:a/x + site:b/y"]
    assert ids(Goal(any="site", of=3, within_seconds=60.0)) == []
    assert ids(Goal(any="provider", within_seconds=60.0, **{"except": ("a",)})) == ["provider:b"]
    assert ids(Goal(any="provider", within_seconds=60.0, **{"except": ("provider:a",)})) == ["provider:b"]
    own = tuple(Component(name=n, kind="power") for n in ("p3", "p1", "p2"))
    two = Goal(any="power", of=2, within_seconds=60.0, **{"except": ("p2",)})
    assert ids(two, components=own) == ["power:p1 + power:p3"]
    three = ids(Goal(any="power", of=2, within_seconds=60.0), components=own)
    assert three == ["power:p1 + power:p2", "power:p1 + power:p3", "power:p2 + power:p3"]


def test_a_named_failure():
    named = NamedFailure(name="flood", lost={"site:a/x": 0.5}, surge_factor=1.2)
    asked = worked(failures=(named,))
    (failure,) = expand(Goal(failure="flood", within_seconds=60.0), asked, dependency_graph(asked))
    assert (failure.id, failure.lost, failure.surge_factor) == ("failure:flood", {"site:a/x": 0.5}, 1.2)


# ------------------------------------------------------------------ clocks and what is due
def two_tiers(**parts) -> Problem:
    tiers = (
        Tier(
            name="t",
            serve_fraction=0.9,
            survive=(
                Goal(any="site", serve_fraction=0.5, within_seconds=60.0),
                Goal(any="site", serve_fraction=0.8, within_seconds=300.0),
            ),
        ),
        Tier(name="u", survive=(Goal(any="site", within_seconds=120.0),)),
    )
    names = (workload("w"), workload("v", tier="u"))
    demand = {("w", "o"): 10, ("v", "o"): 1}
    return build(worked(**{"tiers": tiers, "workloads": names, "demand": demand, **parts}))


def test_deadlines_are_those_of_the_goals():
    p = two_tiers()
    assert p.deadlines_seconds == {NORMAL: (0.0,), "site:a/x": (60.0, 120.0, 300.0), "site:b/y": (60.0, 120.0, 300.0)}


def test_deadlines_are_also_when_claims_come_back():
    lent = (
        Claim(pool="a/x/m", machines=1, reclaim_seconds=80.0, lent_to="training"),  # 10 to detect: back at 90 s
        Claim(pool="a/x/m", machines=1, reclaim_seconds=None, lent_to="for ever"),
        Claim(pool="a/x/m", machines=1, reclaim_seconds=400.0, lent_to="too late"),
        Claim(pool="a/x/m", machines=0, reclaim_seconds=20.0, lent_to="nobody"),
    )
    p = two_tiers(claims=lent)
    assert deadlines_of(p, "site:b/y") == (60.0, 90.0, 90.001, 120.0, 300.0)
    assert deadlines_of(p, "site:a/x") == (60.0, 120.0, 300.0), "what is lost does not come back"
    assert deadlines_of(p, NORMAL) == (0.0,)


def test_what_is_due():
    p = two_tiers()
    due = {c: due_fraction(p, "w", "o", (HOUR, "site:a/x", c)) for c in (59.0, 60.0, 120.0, 300.0)}
    assert due == {59.0: 0.0, 60.0: 0.5, 120.0: 0.5, 300.0: 0.8}
    assert [due_fraction(p, "v", "o", (HOUR, "site:a/x", c)) for c in (60.0, 120.0)] == [0.0, 1.0]
    assert due_fraction(p, "w", "o", (HOUR, NORMAL, 0.0)) == 0.9


def test_no_more_is_due_than_can_be_covered():
    behind = Dependency(component="workload:w", needs=Needs(all_of=("site:a/x",)))
    p = two_tiers(dependencies=(behind,))
    assert due_fraction(p, "w", "o", (HOUR, "site:a/x", 300.0)) == 0.0
    assert due_fraction(p, "w", "o", (HOUR, "site:b/y", 300.0)) == 0.8
    half = NamedFailure(name="half", lost={"site:a/x": 0.4})
    goal = Tier(name="t", survive=(Goal(failure="half", serve_fraction=0.8, within_seconds=60.0),))
    p = build(worked(tiers=(goal,), failures=(half,), dependencies=(behind,)))
    assert due_fraction(p, "w", "o", (HOUR, "failure:half", 60.0)) == pytest.approx(0.6)  # min(0.8, 1 − 0.4)


# ------------------------------------------------------------------ machines
def test_machines_that_are_up():
    part = NamedFailure(name="part", lost={"site:a/x": 0.2})
    goals = (Goal(any="site", within_seconds=300.0), Goal(failure="part", within_seconds=300.0))
    lent = (
        Claim(pool="a/x/m", machines=2, reclaim_seconds=80.0, lent_to="training"),
        Claim(pool="a/x/m", machines=1, reclaim_seconds=None, lent_to="for ever"),
    )
    p = build(worked(tiers=(Tier(name="t", survive=goals),), failures=(part,), claims=lent))
    x = no_decisions()
    x.rented = Sparse({("a/x/m:on_demand", HOUR): 4.0, ("a/x/m:spot", HOUR): 6.0})
    x.started = Sparse({("b/y/n:commitment", PERIOD): 2.0})
    a, chosen = full(p), as_vectors(p, x)

    def there(f: str = NORMAL) -> dict[str, float]:
        return dict(zip(p.pools, machines_held_or_bought(a, chosen, HOUR, f).tolist(), strict=True))

    def up(f: str, deadline: float) -> float:
        return float(machines_up(a, chosen, (HOUR, f, deadline))[a.pool_at["a/x/m"]])

    # held 10, on demand 4, spot 6 (not in a failure); 2 units of 4 machines beside 4 held
    assert there()["a/x/m"] == 20.0
    assert there("site:b/y")["a/x/m"] == 14.0
    assert there("site:b/y")["b/y/n"] == 12.0
    # normal: 0.9 of 20 − 3 lent usable, 0.5 of them spare
    assert up(NORMAL, 0.0) == pytest.approx(14.8)
    # another site is lost: 0.9 · (14 − 3 lent), and 2 more once they are back: after 90 s, not at 90 s
    assert up("site:b/y", 90.0) == pytest.approx(9.9)
    assert up("site:b/y", 90.001) == pytest.approx(0.9 * 13)
    # a fifth of the site is lost: 0.8 · 0.9 · (14 − 3)
    assert up("failure:part", 60.0) == pytest.approx(7.92)
    assert up("site:a/x", 300.0) == 0.0


# ------------------------------------------------------------------ network
def latencies(origin: Origin, *measured: tuple[str, str, float], sites=None) -> dict[str, tuple[float, str]]:
    rows = tuple(RoundTrip(from_region=a, to_region=b, round_trip_ms=ms, **SOURCED) for a, b, ms in measured)
    more = {} if sites is None else {"sites": sites}
    asked = worked(origins=(origin,), round_trips=rows, **more)
    return {at: (r.round_trip_ms, r.how) for (_, at), r in reaches(asked).items()}


def test_the_same_place_and_measured_round_trips():
    ms_to = latencies(Origin(name="o", near="a/x"), ("a/x", "b/y", 31.0))
    assert ms_to == {"a/x": (SAME_PLACE_MS, "same place, assumed"), "b/y": (31.0, "measured")}
    assert latencies(Origin(name="o", near="a/x"), ("b/y", "a/x", 33.0))["b/y"] == (33.0, "measured"), "there and back"
    both = latencies(Origin(name="o", near="a/x"), ("b/y", "a/x", 33.0), ("a/x", "b/y", 31.0))
    assert both["b/y"] == (31.0, "measured")


def test_a_regions_own_round_trip_is_the_measured_one():
    own = ("a/x", "a/x", 2.25)
    assert latencies(Origin(name="o", near="a/x"), own)["a/x"] == (2.25, "measured"), "not 2 ms, assumed"
    # 71.5 km away: 0.7 ms in fibre; 300 km: 3 ms
    assert latencies(Origin(name="o", latitude=50.0, longitude=1.0), own)["a/x"] == (2.25, "proxy a/x to a/x")
    ms, how = latencies(Origin(name="o", latitude=50.0, longitude=-4.2), own)["a/x"]
    assert (round(ms, 2), how) == (3.0, "proxy a/x to a/x")


def test_a_region_nearby_stands_for_a_place():
    # 1 degree of longitude at 50 degrees north: 111.19 · cos 50 = 71.5 km from a/x, 1358 km from b/y
    ms_to = latencies(Origin(name="o", latitude=50.0, longitude=1.0), ("a/x", "b/y", 31.0))
    assert ms_to["b/y"] == (31.0, "proxy a/x to b/y")
    assert ms_to["a/x"] == (SAME_PLACE_MS, "proxy a/x to a/x"), "0.7 ms in fibre, 2 ms within a region"
    # 300 km: 2 · 300 / 200 = 3 ms; 4.2 degrees of longitude are 4.2 · 71.47 = 300.2 km
    ms, how = latencies(Origin(name="o", latitude=50.0, longitude=-4.2))["a/x"]
    assert (round(ms, 2), how) == (3.0, "proxy a/x to a/x")


def test_a_distance_where_nothing_is_measured():
    assert great_circle_km((0.0, 0.0), (0.0, 90.0)) == pytest.approx(6371 * 3.14159265 / 2)
    # a quarter round the world, 10007.5 km: 8.5 + 0.0154 · 10007.5 = 162.6 ms, light 100.1 ms
    assert estimated_round_trip_ms(10007.5) == pytest.approx(162.616, abs=1e-3)
    ms_to = latencies(Origin(name="o", latitude=50.0, longitude=1.0))
    km = great_circle_km((50.0, 1.0), (50.0, 20.0))
    assert ms_to["b/y"] == (pytest.approx(8.5 + 0.0154 * km), "estimated by distance")
    assert 1350 < km < 1365


def test_nowhere_is_unreachable():
    """An origin near a region that nobody knows reaches only what was measured from it."""
    ms_to = latencies(Origin(name="o", near="c/z"), ("c/z", "b/y", 44.0))
    assert ms_to == {"b/y": (44.0, "measured")}
    limited = worked(
        origins=(Origin(name="o", near="c/z"),),
        round_trips=(RoundTrip(from_region="c/z", to_region="b/y", round_trip_ms=44.0, **SOURCED),),
        tiers=(Tier(name="t", round_trip_ms=50.0),),
    )
    p = build(limited)
    assert p.edges == {("w", "o"): (B,)} and p.why_not["w", "o", A].startswith("round trip")


def test_the_page_says_how_round_trips_that_were_not_measured_are_made():
    page = " ".join((Path(__file__).parents[2] / "docs" / "concepts.md").read_text(encoding="utf-8").split())
    said = page.partition("## Round trips")[2].partition("## ")[0]
    for text in (
        f"*assumed*: {SAME_PLACE_MS:g} ms",
        f"within {PROXY_KM:g} km of the origin",
        "max(km / 100, 8.5 + 0.0154 km) ms",
        f"within {NINE_OF_TEN_WITHIN_MS['proxy']:g} ms by proxy",
        f"within {NINE_OF_TEN_WITHIN_MS['estimated']:g} ms by distance",
    ):
        assert text in said, text
    assert estimated_round_trip_ms(1000.0) == 8.5 + 0.0154 * 1000 and fibre_round_trip_ms(1000.0) == 1000 / 100
