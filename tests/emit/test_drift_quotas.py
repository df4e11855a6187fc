"""Quotas of today from a CSV, against what the plan needs at its peak and in failures."""

from datetime import date

import pytest
from emitting import every_instrument, planned
from studies import machine_type, model, offer, profile, site, study, workload

from planner.emit.actual import Actual, read_actual
from planner.emit.drift import drift
from planner.emit.fleet import fleet_of
from planner.emit.quotas import needs_by_hour, needs_in_failures, quota_uses
from planner.errors import InputError
from planner.plan.plan import make_plan
from planner.review.drift import review_drift
from planner.review.render import render
from planner.solve.search import Effort
from planner.study.records.inventory import Pool
from planner.study.records.study import Counted, Goal, Holding, Policies, Tier

DAY = date(2026, 6, 1)
HEADER = "provider,where,quota,limit,used,unit,machine_types,kinds\n"
P5 = "aws/us-east-1/p5.48xlarge"


def read(folder, *rows, header=HEADER):
    path = folder / "quotas.csv"
    path.write_text(header + "".join(f"{row}\n" for row in rows))
    return read_actual([path], planned())


def uses_of(actual, machines=None):
    return quota_uses(actual.quotas, fleet_of(planned()), machines)


def test_machines_that_are_planned_against_what_is_granted(tmp_path):
    # 3 of p5 and 22 of trn2 in us-east-1; of Azure's ND 6 bought and 2 held
    actual = read(
        tmp_path,
        "aws,us-east-1,p5.48xlarge,2,,,,",
        "aws,us-east-1,accelerated,25,,,p5.*;trn*,",
        "azure,eastus2,ND on demand,5,,,Standard_ND*,on_demand",
        "azure,eastus2,ND,8,,,Standard_ND*,",
        "aws,eu-west-1,p5.48xlarge,0,,,,",
    )
    uses, unplanned = uses_of(actual)
    assert [(use.quota, use.peak, use.in_failures, use.short) for use in uses] == [
        ("p5.48xlarge", 3, 3, 1),
        ("accelerated", 25, 25, 0),
        ("ND on demand", 6, 6, 1),
        ("ND", 8, 8, 0),
    ]
    assert unplanned == ["p5.48xlarge in aws/eu-west-1"]
    found = drift(planned(), actual, DAY)
    short = {d.subject: d.detail for d in found.differences if d.kind == "quota too small"}
    assert short["p5.48xlarge in aws/us-east-1"] == "3 machines needed, 2 granted" and len(short) == 2
    assert found.any and found.compared == ("quotas",)
    text = render(review_drift(found, "test"), "text")
    assert "not compared, as no file counts them: machines, reservations, replicas" in " ".join(text.split())
    assert "QUOTAS" in text and "quota of nothing planned" in text


def test_what_others_take_is_not_there_for_the_plan(tmp_path):
    # 10 granted, 9 used, 2 of them the plan's own: others have 7, 3 remain, 3 are needed; one more and one is short
    for used, others, short in ((9, 7, 0), (10, 8, 1), (1, 0, 0)):
        actual = read(tmp_path, f"aws,us-east-1,p5.48xlarge,10,{used},,,")
        ((use,), _) = uses_of(actual, {P5: 2})
        assert (use.others, use.short) == (others, short)
        ((unknown,), _) = uses_of(actual)
        assert (unknown.others, unknown.short) == (None, 0)


def test_spot_takes_of_quotas_of_spot_alone(tmp_path):
    # of 5 machines there 3 run on spot: of the quota of spot 6 - 3 are others', of the other 6 - 2, of both 6 - 5
    for kinds, others in (("spot", 3), ("held;commitment", 4), ("", 1)):
        actual = read(tmp_path, f"aws,us-east-1,p5.48xlarge,10,6,,,{kinds}")
        ((use,), _) = quota_uses(actual.quotas, fleet_of(planned()), {P5: 5}, {P5: 3})
        assert use.others == others


def test_units_are_those_that_the_machine_type_states(tmp_path):
    types = tuple(
        m.model_copy(update={"quota_units": {"vcpu": 192.0}}) if m.name == "p5.48xlarge" else m
        for m in planned().study.machine_types
    )
    there = planned().model_copy(update={"study": planned().study.model_copy(update={"machine_types": types})})
    path = tmp_path / "quotas.csv"
    path.write_text(HEADER + "aws,us-east-1,Running On-Demand P instances,500,,vcpu,p5.*,\n")
    ((use,), _) = quota_uses(read_actual([path], there).quotas, fleet_of(there), None)
    assert (use.unit, use.peak, use.short) == ("vcpu", 3 * 192, 3 * 192 - 500)


def test_every_bad_row_is_named_with_its_line(tmp_path):
    with pytest.raises(InputError) as refused:
        read(
            tmp_path,
            "aws,us-east-1,p5.48xlarge,many,,,,",
            "aws,us-east-1,trn2.48xlarge,-1,,,,",
            "aws,us-east-1,on demand,5,,,p5.*,rented",
            "aws,us-east-1",
            ",us-east-1,p5.48xlarge,1,,,,",
        )
    where = [finding.where for finding in refused.value.findings]
    for line in range(2, 7):
        assert any(f"quotas.csv:{line}" in place for place in where), where
    with pytest.raises(InputError, match=r"quotas.csv:2: unit\n  expected a unit that its machine types state"):
        read(tmp_path, "aws,us-east-1,p5.48xlarge,5,,vcpu,,")
    with pytest.raises(InputError, match="each of them once"):
        read(tmp_path, *["aws,us-east-1,p5.48xlarge,5,,,,"] * 2)
    with pytest.raises(InputError, match=r"quotas.csv:1: limit\n  expected the column"):
        read(tmp_path, "aws,us-east-1,p5.48xlarge", header="provider,where,quota\n")


def test_a_quota_in_two_files_is_refused(tmp_path):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(HEADER + "aws,us-east-1,p5.48xlarge,5,,,,\n")
    with pytest.raises(InputError, match="each quota once"):
        read_actual([tmp_path / "a.csv", tmp_path / "b.csv"], planned())


def test_what_is_obtained_in_a_failure_needs_quota_too():
    """A machine at each of two sites; when one is lost, the other obtains a machine on demand: two of it there."""
    made = study(
        sites=(site("aws/a"), site("aws/b")),
        machine_types=(machine_type("m"),),
        pools=(Pool(site="aws/a", machine_type="m"), Pool(site="aws/b", machine_type="m")),
        bought=[offer("aws/a/m", 3, most_units=4.0), offer("aws/b/m", 3, most_units=4.0)],
        holdings=(Holding(pool="aws/a/m", machines=1), Holding(pool="aws/b/m", machines=1)),
        models=(model("m", [profile("m", "cuda", 10)]),),
        tiers=(Tier(name="t", outage_usd_per_request=1.0, survive=(Goal(any="site", within_seconds=600.0),)),),
        workloads=(workload("w"),),
        demand={("w", "o"): 16.0},
        policies=Policies(counted=(Counted(offers=("*",), obtainable_fraction=1.0, obtain_seconds=60.0),)),
    )
    plan = make_plan(made, Effort(), no_regret=False)
    fleet = fleet_of(plan)
    peak = sum(n for needs in needs_by_hour(fleet).values() for n in needs.values())
    assert peak == 2 and not any(row.units for row in plan.purchases)
    failures = needs_in_failures(fleet, needs_by_hour(fleet))
    assert max(needs.get(("aws/b/m", "on_demand"), 0) for needs in failures) == 1
    assert all(needs["aws/b/m", "held"] == 1 for needs in failures)


def test_a_plan_without_quotas_says_that_none_were_compared():
    found = drift(planned(), Actual({}, None, None), DAY)
    assert found.quotas == () and "quotas" in found.not_compared
    assert every_instrument().policies.counted == ()


def test_places_are_read_as_people_and_consoles_write_them(tmp_path):
    actual = read(tmp_path, "aws,US-EAST-1,p5.48xlarge,2,,,,", "azure,East US 2,ND,8,,,Standard_ND*,")
    uses, unplanned = uses_of(actual)
    assert [(use.quota, use.peak, use.short) for use in uses] == [("p5.48xlarge", 3, 1), ("ND", 8, 0)]
    assert unplanned == []


def test_a_place_that_is_misspelt_is_an_error_and_another_region_is_noted(tmp_path):
    rows = ("aws,us-eats-1,p5.48xlarge,2,,,,", "aws,us-east-7,p5.48xlarge,2,,,,", "azure,estus2,ND,8,,,Standard_ND*,")
    with pytest.raises(InputError) as refused:
        read(tmp_path, *rows)
    assert [(f.where.rpartition("quotas.csv:")[2], f.got) for f in refused.value.findings] == [
        ("2: where", "'us-eats-1' (did you mean 'us-east-1'?)"),
        ("4: where", "'estus2' (did you mean 'eastus2'?)"),
    ]
    _, unplanned = uses_of(read(tmp_path, rows[1], "azure,swedencentral,ND,8,,,Standard_ND*,"))
    assert unplanned == ["p5.48xlarge in aws/us-east-7", "ND in azure/swedencentral"]


def test_a_provider_that_is_misspelt_is_no_quota_of_nothing_planned(tmp_path):
    with pytest.raises(InputError) as refused:
        read(tmp_path, "amazon,us-east-1,p5.48xlarge,2,,,,", "aws,sa-east-1,p5,2,,,,")
    (provider,) = refused.value.findings
    assert ":2" in provider.where and "a provider of the study" in provider.expected
