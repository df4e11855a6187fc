"""A plan held to a policy: every rule on figures by hand, findings with their places, exit codes, the comment."""

import json
import re
from datetime import date

import pytest
from two_sites import call, two_sites

import planner
from planner.errors import InputError
from planner.plan.file import plan_text, sealed
from planner.plan.in_hand import Plan
from planner.plan.plan import make_plan
from planner.review.gate import COMMENT_MARK, MOST_CHARACTERS, _cut, gate_comment, review_gate
from planner.review.gate_figures import oldest_price_days, well_known_share
from planner.review.gate_rules import FAILS, NOT_KNOWN, PASSES, WARNS
from planner.study.records.gate import EvidenceRule, PricesRule


@pytest.fixture(scope="module")
def plan():
    """Two machines at each of two sites: 10 USD over one hour; normal operation may go to either."""
    return Plan(make_plan(two_sites()))


@pytest.fixture
def policy(tmp_path):
    def write(text):
        path = tmp_path / "policy.yaml"
        path.write_text(f"policy: p\n{text}\n", encoding="utf-8")
        return path

    return write


def rows_of(report):
    return {row.rule: row for row in next(s for s in report.sections if s.title == "RULES").rows}


def only(report):
    """The one row beside audit, goals and proof."""
    rows = [row for name, row in rows_of(report).items() if not name.startswith(("audit", "goals that", "gap to"))]
    assert len(rows) == 1
    return rows[0]


def test_an_empty_policy_checks_audit_goals_and_proof(plan, policy):
    report = review_gate(plan, policy(""))
    assert report.good
    assert [row.verdict for row in rows_of(report).values()] == [PASSES] * 3


FIGURES = {
    # 10 USD in all, over a month of one hour
    "budget: [{per: horizon, most_usd: LIMIT}]": (10, 9.99),
    "budget: [{per: month, most_usd: LIMIT}]": (10, 9.99),
    "budget: [{of: capital, per: quarter, most_usd: LIMIT}]": (0, None),
    # 4 of 10 USD at a, 6 at b; two machines each
    "concentration: [{share_of: cost, per: provider, most_fraction: LIMIT}]": (0.6, 0.59),
    "concentration: [{share_of: cost, per: site, names: [a/*], most_fraction: LIMIT}]": (0.4, 0.39),
    "concentration: [{share_of: accelerators, per: region, most_fraction: LIMIT}]": (0.5, 0.49),
    "concentration: [{share_of: requests, per: stack, most_fraction: LIMIT}]": (1.0, 0.99),
    # a site lost: 10 requests/s on two machines of 5
    "utilisation: [{of: placement, when: failures, most_fraction: LIMIT}]": (1.0, 0.99),
    "utilisation: [{of: pool, when: failures, most_fraction: LIMIT}]": (1.0, 0.99),
    # of 10 requests/s all, when a site is lost
    "survive: [{tier: t, any: site, within_seconds: 60, serve_fraction: LIMIT}]": (1.0, None),
}


@pytest.mark.parametrize("rule", FIGURES)
def test_a_limit_holds_at_the_figure_and_fails_beyond(rule, plan, policy):
    good, bad = FIGURES[rule]
    row = only(review_gate(plan, policy(rule.replace("LIMIT", f"{good}"))))
    assert row.verdict == PASSES and row.value == pytest.approx(good) and row.fix == ""
    if bad is not None:
        report = review_gate(plan, policy(rule.replace("LIMIT", f"{bad}")))
        assert not report.good and only(report).verdict == FAILS and only(report).fix
        warned = review_gate(plan, policy(rule.replace("LIMIT", f"{bad}, severity: warn")))
        assert warned.good and only(warned).verdict == WARNS


def test_growth_of_demand_that_holds(plan, policy):
    # two machines of 5 requests/s for 7 requests/s, in normal operation and in a failure
    with_headroom = Plan(make_plan(two_sites(demand={("w", "o"): 7.0})))
    row = only(review_gate(with_headroom, policy("headroom: {least_growth_fraction: 0.42}")))
    assert row.verdict == PASSES and row.value == pytest.approx(10 / 7 - 1, abs=0.01)
    row = only(review_gate(plan, policy("headroom: {least_growth_fraction: 0.1}")))
    assert row.verdict == FAILS and row.value == pytest.approx(0, abs=1e-3) and "normal operation" in row.name


def with_study(plan, **fields):
    """The plan on another study of the same shape: to look at figures, not at what was planned."""
    return Plan(plan.file.model_copy(update={"study": plan.study.model_copy(update=fields)}))


@pytest.mark.parametrize(
    ("evidence", "weakest", "share"),
    [
        ("assumed", "estimated", 0),
        ("estimated", "estimated", 1),
        ("estimated", "measured", 0),
        ("measured", "proxy", 1),
    ],
)
def test_evidence_is_counted_by_requests(plan, evidence, weakest, share):
    model = plan.study.models[0]
    point = model.profiles[0].classes[0].model_copy(update={"evidence": evidence})
    profile = model.profiles[0].model_copy(update={"classes": (point,)})
    known = with_study(plan, models=(model.model_copy(update={"profiles": (profile,)}),))
    for when in ("normal", "failures"):
        rule = EvidenceRule(tiers=("t",), weakest=weakest, when=when)
        assert well_known_share(known, rule, "t").value == share


def test_prices_age_from_the_first_day_of_their_month(plan):
    dated = tuple(price.model_copy(update={"as_of": "2026-03"}) for price in plan.study.prices)
    age = oldest_price_days(with_study(plan, prices=dated), PricesRule(most_days=0), date(2026, 4, 1))
    assert age.value == 31 and "as of 2026-03" in age.name


def test_orders_that_can_no_longer_be_placed(plan, policy):
    first = min(order.order_by for order in plan.orders)
    rule = policy("orders: {}")
    assert only(review_gate(plan, rule, today=first)).verdict == PASSES
    late = only(review_gate(plan, rule, today=date.fromordinal(first.toordinal() + 3)))
    assert (late.verdict, late.value) == (FAILS, -3)


def test_a_goal_that_the_study_must_have(plan, policy):
    weaker = only(review_gate(plan, policy("survive: [{tier: t, any: site, within_seconds: 30}]")))
    assert weaker.verdict == FAILS and "no such goal" in weaker.name
    assert "add {any: site, of: 1, serve_fraction: 1, within_seconds: 30} to the goals of tier t" in weaker.fix
    easier = policy("survive: [{tier: t, any: site, serve_fraction: 0.5, within_seconds: 90}]")
    assert only(review_gate(plan, easier)).verdict == PASSES


def test_outages_that_concern_nobody_pass_and_those_that_cannot_be_mapped_are_not_known(plan, policy):
    report = review_gate(plan, policy("outages: [{outages: [google-service-control-2025-06-12], within_seconds: 60}]"))
    assert only(report).verdict == PASSES and "does not concern" in only(report).name
    report = review_gate(plan, policy("outages: [{outages: [claude-login-2026-03-02], within_seconds: 60}]"))
    assert only(report).verdict == NOT_KNOWN and not report.good and only(report).value is None


def test_change_against_the_base_plan(plan, policy):
    # a third machine at each site for 15 requests/s: 15 instead of 10 USD, two machines more
    more = Plan(make_plan(two_sites(demand={("w", "o"): 15.0})))
    rule = policy("change: [{most_cost_growth_fraction: 0.5, most_machines_removed: 1}]")
    rows = rows_of(review_gate(more, rule, plan))
    growth, removed = rows["cost a month, more than the base plan"], rows["machines removed from the base plan"]
    assert (growth.verdict, removed.verdict) == (PASSES, PASSES)
    assert (growth.value, removed.value) == (pytest.approx(0.5), 0)
    rows = rows_of(review_gate(plan, rule, more))
    growth, removed = rows["cost a month, more than the base plan"], rows["machines removed from the base plan"]
    assert (growth.value, removed.value, removed.verdict) == (pytest.approx(-1 / 3), 2, FAILS)


def test_a_plan_that_does_not_hold_is_judged_by_nothing_else(plan, policy):
    edited = plan.file.model_copy(update={"purchases": plan.file.purchases[1:]})
    report = review_gate(Plan(sealed(edited)), policy("budget: [{per: horizon, most_usd: 1000000}]"))
    assert not report.good and rows_of(report)["audit: rules that the plan breaks"].verdict == FAILS


def test_a_policy_that_cannot_be_read_is_said_of_a_plan_that_does_not_hold_too(plan, policy):
    edited = plan.file.model_copy(update={"purchases": plan.file.purchases[1:]})
    with pytest.raises(InputError) as caught:
        review_gate(Plan(edited), policy("headrom: {least_growth_fraction: 0.1}"))
    assert ["headrom" in finding.where for finding in caught.value.findings] == [True, False]
    assert caught.value.findings[-1].expected == "one that holds what it says"


def test_a_plan_that_is_not_proven_fails_unless_that_is_allowed(plan, policy):
    proof = plan.file.proof.model_copy(update={"gap_fraction": 0.4, "bound_usd": 6.0, "gap_asked_fraction": 0.01})
    unproven = Plan(sealed(plan.file.model_copy(update={"proof": proof})))
    name = "gap to the best plan"
    assert rows_of(review_gate(unproven, policy("")))[name].verdict == FAILS
    assert rows_of(review_gate(unproven, policy("proof: {most_gap_fraction: 0.5}")))[name].verdict == FAILS
    allowed = policy("proof: {most_gap_fraction: 0.5, may_be_unproven: true}")
    assert rows_of(review_gate(unproven, allowed))[name].verdict == PASSES


def test_all_that_is_wrong_with_a_policy_is_said_at_once(plan, policy):
    path = policy(
        "concentration:\n- {share_of: cost, per: provider, names: [c], most_fraction: 0.5}\n"
        "evidence: [{tiers: [tt], weakest: estimated}]\n"
        "survive:\n- {tier: t, any: sites, within_seconds: 60}\n"
        "outages: [{outages: [cloudflare-2025], within_seconds: 60}]\n"
        "change: [{most_machines_removed: 0}]"
    )
    with pytest.raises(InputError) as caught:
        review_gate(plan, path)
    wheres = [re.sub(r"^.*policy", "policy", finding.where) for finding in caught.value.findings]
    assert wheres == [
        "policy.yaml:3: concentration[0].names[0]",
        "policy.yaml:4: evidence[0].tiers[0]",
        "policy.yaml:6: survive[0].any",
        "policy.yaml:7: outages[0].outages[0]",
        "policy.yaml:8: change",
    ]
    path = policy("budget: [{per: year, most_usd: -1}]\nheadrom: {least_growth_fraction: 0.1}\nsurvive: [{tier: t}]")
    with pytest.raises(InputError) as caught:
        review_gate(plan, path)
    assert len(caught.value.findings) >= 4


def test_exit_codes_and_the_comment(plan, policy, tmp_path):
    first, second, out = tmp_path / "main.json", tmp_path / "plan.json", tmp_path / "comment.md"
    first.write_text(plan_text(plan.file), encoding="utf-8")
    second.write_text(plan_text(make_plan(two_sites(demand={("w", "o"): 15.0}))), encoding="utf-8")
    path = policy("change: [{most_cost_growth_fraction: 0.1}]")
    failed = call("gate", second, path, "--base", first, "--format", "md", "--out", out)
    assert failed.exit_code == 1
    text = out.read_text("utf-8")
    assert text.startswith(f"{COMMENT_MARK}\n# gate p") and "FAILS: 1 of 4 rules" in text and "## BRIDGE" in text
    assert not re.search(r"@(?=\w)", text)  # placements hold an @: nobody is mentioned
    assert call("gate", first, path, "--base", first).exit_code == 0
    assert call("gate", first, path).exit_code == 2
    assert call("gate", first, tmp_path / "no.yaml").exit_code == 2
    data = json.loads(call("gate", second, path, "--base", first, "--format", "json").stdout)
    assert data["sections"]["answer"]["failing"] == 1 and data["sections"]["rules"][0]["value"] == pytest.approx(0.5)


def test_names_in_a_comment_are_names_and_nothing_else(plan, policy):
    report = review_gate(plan, policy("").rename(policy("").with_name("x.yaml")))
    section = report.sections[1]
    row = section.rows[0]
    named = type(row)(
        **{**vars(row), "name": "@team #12 <b> |x| https://example.org www.example.org `y` ~~z~~ :tada: &lt;"}
    )
    wild = type(report)(report.title, True, (type(section)("RULES", columns=section.columns, rows=(named,)),))
    line = next(line for line in gate_comment(wild).splitlines() if "team" in line)
    for sign in ("@team", "#12", "<b>", "https://", "www.e", "~~", ":tada:", " &lt; |"):
        assert sign not in line
    assert r"\|x\|" in line and r"\`y\`" in line and "&amp;lt;" in line


def test_a_comment_is_cut_with_a_note():
    lines = [f"| {n} | {'x' * 90} |" for n in range(2000)]
    text = _cut(lines)
    assert MOST_CHARACTERS - 200 < len(text) <= MOST_CHARACTERS
    kept = sum(line.startswith("|") for line in text.splitlines())
    assert f"cut: {2000 - kept} lines more" in text
    assert _cut(lines[:10]) == "\n".join(lines[:10]) + "\n"


def test_from_python(plan, policy):
    assert planner.gate(plan.file, policy("")).good
