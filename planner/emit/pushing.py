"""How a set is pushed to each gateway: the words and commands of its runbook."""

from planner.emit.runbook import Pushing
from planner.emit.text import markdown_cell

LITELLM_PUSHING = Pushing(
    about=(
        "Two proxies or more stand behind a load balancer that looks at `/health/readiness`. A config.yaml is read at\n"
        "the start: put the new one in place and restart one proxy after the other, the next when the one before is\n"
        "ready. A proxy may take half a minute to start: begin so much before the deadline, for each of them.",
    ),
    command="cp {set}/config.yaml config.yaml.new && mv config.yaml.new config.yaml",
    shows="every proxy has been restarted since the file said `# Set: {id}`; `/model/info` lists its deployments",
)


def envoy_pushing(folder: str, admin_port: int) -> Pushing:
    """A renaming within one folder; what is in force Envoy says itself."""
    asks = f"curl -s 'http://127.0.0.1:{admin_port}/stats?filter=cds.version_text|warming'"
    return Pushing(
        about=(
            "Envoy watches clusters.yaml in the folder of its gateway, `origins/ORIGIN` of this emission (option\n"
            f"folder, here {markdown_cell(folder)}). A file is taken when it is renamed onto that name, from within\n"
            "the same folder. An edit in place is ignored; a file that is no YAML or has a value out of range is\n"
            "refused, and the one in force stays. A file that is cut off may be taken for a shorter one: rename none\n"
            "that is still being written, and push the sets as they are.",
            "From a mounted ConfigMap: `kubectl create configmap NAME --from-file=SET/clusters.yaml --dry-run=client\n"
            "-o yaml | kubectl replace -f -`; the kubelet renames it when it syncs, which may take a minute.",
        ),
        command="cp {set}/clusters.yaml clusters.yaml.new && mv clusters.yaml.new clusters.yaml",
        shows=f"`{asks}` says `{{id}}`, and 0 `warming_clusters`",
    )
