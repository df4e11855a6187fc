"""Two sites that survive each other, and variants of them."""

from studies import machine_type, model, offer, profile, site, study, workload
from typer.testing import CliRunner

from planner.cli.main import app
from planner.questions.patched import patched
from planner.questions.patches import patch_of
from planner.study.places import Place, Reading
from planner.study.records.inventory import Pool
from planner.study.records.study import Goal, Tier

runner = CliRunner()


def call(*words):
    return runner.invoke(app, [str(word) for word in words])


def two_sites(**parts):
    """A pool at each of two sites, 5 requests/s a machine, 2 and 3 USD/h; 10 requests/s survive any site, one hour.

    Two machines at each site: 2 x 2 + 2 x 3 = 10 USD. Without goals two of the cheaper: 4 USD.
    """
    fields = {
        "sites": (site("a/x"), site("b/y", (50.0, 1.0))),
        "machine_types": (machine_type("m"),),
        "pools": (Pool(site="a/x", machine_type="m"), Pool(site="b/y", machine_type="m")),
        "bought": [offer("a/x/m", 2), offer("b/y/m", 3)],
        "models": (model("m", [profile("m", "cuda", 5)]),),
        "tiers": (Tier(name="t", survive=(Goal(any="site", within_seconds=60.0),)),),
        "workloads": (workload("w"),),
        "demand": {("w", "o"): 10.0},
    }
    return study(**{**fields, **parts})


def patch(name, **parts):
    reading = Reading()
    made = patch_of({"name": name, **parts}, Place("p.yaml"), reading)
    assert made is not None, reading.findings
    return made


def changed(asked, *sets, **parts):
    """The study with the changes; it must be a good one."""
    patches = [patch(f"p{i}", set=s) for i, s in enumerate(sets)] + ([patch("p", **parts)] if parts else [])
    made, findings = patched(asked, tuple(patches), "v")
    assert made is not None, [str(f) for f in findings]
    return made


def refused(asked, *sets, **parts):
    made, findings = patched(
        asked, tuple(patch(f"p{i}", set=s) for i, s in enumerate(sets)) or (patch("p", **parts),), "v"
    )
    assert made is None
    return "\n".join(str(f) for f in findings if f.level == "error")
