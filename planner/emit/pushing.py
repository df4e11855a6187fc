"""How a set is pushed to each gateway: the words and commands of its runbook."""

from planner.emit.options import secret_name
from planner.emit.runbook import Pushing
from planner.emit.text import markdown_cell
from planner.study.records.study import Study

MASTER_KEY = "LITELLM_MASTER_KEY"
CLUSTERS = "clusters.yaml"
CONFIG = "config.yaml"


def _config_map(file: str) -> str:
    """The command that replaces one file in a ConfigMap by that of a set, as a code block of one line.

    A merge patch of that key alone: the others stay, envoy.yaml among them; `kubectl replace` would end them.
    """
    made = f"kubectl create configmap NAME --namespace NAMESPACE --from-file=SET/{file} --dry-run=client -o yaml"
    patch = "kubectl patch configmap NAME --namespace NAMESPACE --type merge --patch-file /dev/stdin"
    return f"    {made} | {patch}"


def _before_an_emission(asks: str, says_base: str, file: str) -> tuple[str, str]:
    """What a new emission must not do unasked; and the command for a pipeline that asks first."""
    return (
        "**A new emission is `base`, and ends whatever is in force.** Where another set is, return first, or wait.\n"
        "`planner emit` refuses to write over a set in its own folder. A pipeline asks each gateway before it puts\n"
        "one in place: in the folder of the gateway, with NEW as the folder of this gateway in the new emission,",
        f"    {asks} | grep -q '{says_base}' && cp NEW/{file} {file}.new && mv {file}.new {file}",
    )


def _how_long(study: Study) -> str:
    """What the plan counts on a push to take."""
    if study.push_seconds:
        return (
            f"The plan counts on {study.push_seconds:g} s for a push to all gateways (`push_seconds` of the study).\n"
            "Seconds of sets below are those at which they are in force: begin a push so much before, at the soonest\n"
            f"when the failure is known, at {study.detection_seconds:g} s. Replicas start and go without a push."
        )
    return (
        "The plan counts on no time for a push. Measure what yours takes, at all gateways, and say it in the study as\n"
        "`push_seconds`: plans then keep it free before every deadline."
    )


ASKS_LITELLM = f'curl -s -H "Authorization: Bearer ${MASTER_KEY}" http://127.0.0.1:4000/model/info'
ABOUT_LITELLM = (
    "The folder of a gateway is `origins/ORIGIN` of this emission. Two proxies or more stand behind a load\n"
    "balancer that looks at `/health/readiness`. A config.yaml is read at the start: put the new one in place and\n"
    "restart one proxy after the other, the next when the one before is ready. A proxy may take half a minute to\n"
    "start: begin so much before the deadline, for each of them. A proxy is restarted where it runs, by whatever\n"
    "started it, one of these, with a NAME of your own:",
    "    systemctl restart NAME\n    kubectl rollout restart deployment/NAME --namespace NAMESPACE",
    "Started by hand it is `litellm --config config.yaml`, in the folder of the gateway. Where Kubernetes runs\n"
    "it the file is a ConfigMap's, replaced before the restart, from the folder of the gateway; SET is the folder\n"
    "that the step copies from. Other files of the ConfigMap stay:",
    _config_map(CONFIG),
    "Nothing is pushed through LiteLLM's database (`STORE_MODEL_IN_DB`, `/model/new`, `/model/{id}/update`): it\n"
    "cannot change deployments of a config.yaml, changes one at a time, and tells the other proxies half a minute\n"
    "later. docs/gateways.md says more.",
    *_before_an_emission(ASKS_LITELLM, '"set":"base"', CONFIG),
)


def litellm_pushing(study: Study) -> Pushing:
    """A restart of each proxy in turn."""
    return Pushing(
        about=(_how_long(study), *ABOUT_LITELLM),
        command="cp {set}/config.yaml config.yaml.new && mv config.yaml.new config.yaml",
        shows=f"`{ASKS_LITELLM}`, asked of each proxy on its own port, says `{{id}}` as `set` of every deployment",
        key_of=secret_name,
        master_key=MASTER_KEY,
    )


def envoy_pushing(study: Study, folder: str, admin_port: int) -> Pushing:
    """A renaming within one folder; what is in force Envoy says itself."""
    asks = f"curl -s 'http://127.0.0.1:{admin_port}/stats?filter=cds.version_text|warming'"
    return Pushing(
        about=(
            _how_long(study),
            "Envoy watches clusters.yaml in the folder of its gateway, `origins/ORIGIN` of this emission (option\n"
            f"folder, here {markdown_cell(folder)}). A file is taken when it is renamed onto that name, from within\n"
            "the same folder. An edit in place is ignored; a file that is no YAML or has a value out of range is\n"
            "refused, and the one in force stays. A file that is cut off may be taken for a shorter one: rename none\n"
            "that is still being written, and push the sets as they are.",
            "From a mounted ConfigMap instead: in the folder of the gateway, with the NAME and NAMESPACE of the\n"
            "ConfigMap, and as SET the folder that the step copies from. The kubelet renames it when it syncs, which\n"
            "may take a minute. Other files of the ConfigMap, as envoy.yaml, stay:",
            _config_map(CLUSTERS),
            *_before_an_emission(asks, 'version_text: "base"', CLUSTERS),
        ),
        command="cp {set}/clusters.yaml clusters.yaml.new && mv clusters.yaml.new clusters.yaml",
        shows=f"`{asks}` says `{{id}}`, and 0 `warming_clusters`",
    )
