"""The modules as another root calls them, and what Terraform would make of it."""

import json
from importlib.resources import files as packaged

from emitting import terraform, write_all


def root_of(calls):
    """A root of another team, which calls the modules with cells of its own."""
    root = {
        "terraform": [{"required_providers": [{}]}],
        **({"provider": {"azurerm": [{"features": [{}]}]}} if "azure" in calls else {}),
        "module": {cloud: [{"source": f"./modules/{cloud}", **arguments}] for cloud, arguments in calls.items()},
        "output": {f"{cloud}_ids": {"value": f"${{module.{cloud}.reservation_ids}}"} for cloud in calls},
    }
    return {"main.tf.json": json.dumps(root), **{f"modules/{cloud}/main.tf": module(cloud) for cloud in calls}}


def module(cloud):
    return packaged("planner.emit").joinpath("modules", cloud, "main.tf").read_text(encoding="utf-8")


def planned_by_terraform(folder, *options):
    """Resources by (type, name of the cell), and outputs, of what `terraform plan` would make."""
    done = terraform(folder, "plan", "-refresh=false", "-input=false", "-no-color", "-out=p", *options)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    shown = json.loads(terraform(folder, "show", "-json", "p").stdout)
    modules = shown["planned_values"]["root_module"].get("child_modules", [])
    made = {(r["type"], str(r.get("index"))): r["values"] for m in modules for r in m["resources"]}
    return made, shown


def ready(folder, texts, providers):
    write_all(folder, texts)
    done = terraform(folder, "init", "-input=false", "-no-color", f"-plugin-dir={providers}")
    assert done.returncode == 0, done.stderr
    return folder
