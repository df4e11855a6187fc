"""What is told to be done: it is about what is wrong, and doing it helps."""

import math
import re

import pytest
from studies import machine_type, model, offer, profile, site, study, workload

from planner.errors import InputError
from planner.importers.prices import read_prices
from planner.importers.round_trips import read_round_trips
from planner.plan.explain import diagnose
from planner.plan.plan import make_plan
from planner.problem.build import build
from planner.problem.eligibility import CURES, WHY_NOT, workloads_without_edge
from planner.questions.patched import parts_of
from planner.solve.search import Effort
from planner.study.checks.profiles import check_profiles
from planner.study.places import Place, Reading
from planner.study.records.inventory import Pool
from planner.study.records.study import Goal, Tier


def asked(**parts):
    """10 requests/s from o, a pool at a site 3,500 km away, about 62 ms."""
    fields = {
        "sites": (site("a/x", (50.0, 50.0)),),
        "machine_types": (machine_type("m"),),
        "pools": (Pool(site="a/x", machine_type="m"),),
        "bought": [offer("a/x/m", 2)],
        "models": (model("m", [profile("m", "cuda", 5)]),),
        "tiers": (Tier(name="t"),),
        "workloads": (workload("w"),),
        "demand": {("w", "o"): 10.0},
    }
    return study(**{**fields, **parts})


@pytest.mark.parametrize(
    ("parts", "cure"),
    [
        ({"workloads": (workload("w", jurisdictions=("DE",)),)}, "in its jurisdictions"),
        ({"workloads": (workload("w", site_labels=("green",)),)}, "site_labels"),
        ({"workloads": (workload("w", precisions=("bf16",)),)}, "precisions"),
        ({"workloads": (workload("w", features=("tools",)),)}, "features"),
        ({"tiers": (Tier(name="t", first_token_ms=1.0),)}, "a longer first_token_ms"),
        ({"tiers": (Tier(name="t", per_token_ms=1.0),)}, "a longer per_token_ms"),
        ({"tiers": (Tier(name="t", round_trip_ms=5.0),)}, "a longer round_trip_ms"),
        ({"models": (model("m", [profile("m", "cuda", 5)]).model_copy(update={"qualifications": ()}),)}, "qualified"),
    ],
)
def test_the_cure_is_for_the_reason(parts, cure):
    (only,) = workloads_without_edge(build(asked(**parts), with_goals=False)).values()
    assert cure in only.fix and ("round_trip_ms" in only.fix) == ("round_trip_ms" in cure), only.fix


def test_every_reason_has_its_cure():
    assert set(WHY_NOT) <= set(CURES)


@pytest.mark.parametrize(("in_failure", "field"), [(None, "round_trip_ms"), (50.0, "round_trip_ms_in_failure")])
def test_the_round_trip_that_is_told_reaches(in_failure, field):
    """b/y is lost, c/z has half of the machines, a/x is too far: with the limit that is told it is near enough."""

    def tier(**more):
        goal = Goal(any="site", except_=("a/x", "c/z"), within_seconds=60.0)
        return Tier(name="t", round_trip_ms=50.0, survive=(goal,), **more)

    two = asked(
        sites=(site("a/x", (50.0, 50.0)), site("b/y"), site("c/z")),
        pools=tuple(Pool(site=at, machine_type="m") for at in ("a/x", "b/y", "c/z")),
        bought=[offer("a/x/m", 2), offer("b/y/m", 3), offer("c/z/m", 3, most_units=1)],
        tiers=(tier(round_trip_ms_in_failure=in_failure),),
    )
    told = str(diagnose(two))
    found = re.search(rf" {field} of (\d+) \(reaches a/x\)", told)
    assert found, told
    limits = {"round_trip_ms": 50.0, "round_trip_ms_in_failure": in_failure, field: float(found[1])}
    made = two.model_copy(update={"tiers": (tier().model_copy(update=limits),)})
    assert make_plan(made, Effort()).proof.status == "proven"


LAMBDA = (
    "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,Price,Region,GpuInfo,SpotPrice\n"
    "gpu_8x_h100_sxm5,H100,8.0,208.0,1800.0,23.92,us-east-1,x,\n"
)


def refused(call):
    with pytest.raises(InputError) as caught:
        call()
    return caught.value.findings


def test_a_catalogue_of_another_provider_is_not_sent_round_in_a_circle(tmp_path):
    path = tmp_path / "lambda.csv"
    path.write_text(LAMBDA)
    for provider in (None, "lambda"):
        (only,) = refused(lambda of=provider: read_prices(path, as_of="2026-11", provider=of))
        assert "prices.csv: docs/howto/add-a-provider.md" in only.fix, only.fix
        assert "name one of them" not in only.fix


def test_a_region_with_a_slash_too_many_is_not_asked_for_its_provider_again(tmp_path):
    path = tmp_path / "trips.csv"
    path.write_text("from_region,to_region,round_trip_ms\naws/us/east,us-east-1,5\n")
    found = refused(lambda: read_round_trips(path, as_of="2026-11", provider="aws"))
    (only,) = [f for f in found if "us/east" in f.got]
    assert "--provider" not in only.fix and "without a slash" in only.fix


def test_fewer_requests_in_flight_make_fewer_tokens():
    """Of 4,000,000 requests in flight not all fit: how many do is told with the rate that goes with them."""
    big = profile("m", "cuda", 5, weights_gib=100.0, concurrency_limit=4_000_000)
    # 1 layer, 16 x 8 values of 2 bytes, 0.501 tokens: about 128 bytes a request
    one = asked(
        machine_types=(machine_type("m").model_copy(update={"memory_gib_per_accelerator": 13.92}),),
        models=(model("m", [big]),),
    )
    reading = Reading()
    check_profiles(parts_of(one, Place("x"), asked()), reading)
    (only,) = [f for f in reading.findings if "GiB" in f.expected]
    limit = int(re.search(r"lower concurrency_limit to (\d+)", only.fix)[1])
    rate = float(re.search(r"in proportion: ([0-9.]+) \(short\)", only.fix)[1])
    assert 0 < limit < 4_000_000 and rate == pytest.approx(5 * limit / 4_000_000, rel=1e-3)
    fewer = big.model_copy(update={"concurrency_limit": limit})
    fitting = one.model_copy(update={"models": (model("m", [fewer]),)})
    check_profiles(parts_of(fitting, Place("x"), asked()), second := Reading())
    assert not second.findings and math.isfinite(rate)
