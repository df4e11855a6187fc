"""How a set is pushed to each gateway: the words and commands of its runbook."""

from planner.emit.options import secret_name
from planner.emit.runbook import Pushing
from planner.emit.text import markdown_cell

MASTER_KEY = "LITELLM_MASTER_KEY"
CLUSTERS = "clusters.yaml"


def _config_map(file: str) -> str:
    """The command that replaces a ConfigMap's file by that of a set, as a code block of one line."""
    made = f"kubectl create configmap NAME --namespace NAMESPACE --from-file=SET/{file} --dry-run=client -o yaml"
    return f"    {made} | kubectl replace -f -"


LITELLM_PUSHING = Pushing(
    about=(
        "The folder of a gateway is `origins/ORIGIN` of this emission. Two proxies or more stand behind a load\n"
        "balancer that looks at `/health/readiness`. A config.yaml is read at the start: put the new one in place and\n"
        "restart one proxy after the other, the next when the one before is ready. A proxy may take half a minute to\n"
        "start: begin so much before the deadline, for each of them. A proxy is restarted where it runs, by whatever\n"
        "started it, one of these, with a NAME of your own:",
        "    systemctl restart NAME\n    kubectl rollout restart deployment/NAME --namespace NAMESPACE",
        "Started by hand it is `litellm --config config.yaml`, in the folder of the gateway. Where Kubernetes runs\n"
        "it the file is a ConfigMap's, replaced before the restart, from the folder of the gateway; SET is the folder\n"
        "that the step copies from:",
        _config_map("config.yaml"),
    ),
    command="cp {set}/config.yaml config.yaml.new && mv config.yaml.new config.yaml",
    shows="every proxy has been restarted since the file said `# Set: {id}`; `/model/info` lists its deployments",
    key_of=secret_name,
    master_key=MASTER_KEY,
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
            "From a mounted ConfigMap instead: in the folder of the gateway, with the NAME and NAMESPACE of the\n"
            "ConfigMap, and as SET the folder that the step copies from. The kubelet renames it when it syncs, which\n"
            "may take a minute:",
            _config_map(CLUSTERS),
        ),
        command="cp {set}/clusters.yaml clusters.yaml.new && mv clusters.yaml.new clusters.yaml",
        shows=f"`{asks}` says `{{id}}`, and 0 `warming_clusters`",
    )
