"""Settings of the targets for Kubernetes: what a plan cannot know, each checked before anything is written."""

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from planner.emit.fleet import Fleet, Running
from planner.emit.taints import EXPECTED_TAINTS, taints_of
from planner.errors import Finding, InputError
from planner.study.records.study import stack_and_version

RESOURCES = {
    "neuron": "aws.amazon.com/neuron",
    "xla": "google.com/tpu",
    "cuda": "nvidia.com/gpu",
    "rocm": "amd.com/gpu",
}
"""Extended resource of a stack, by the stack's first word; `--set resource.STACK=vendor.com/thing` adds others."""
IMAGE_NOT_SET = "replace.invalid/serve:not-set"
"""A host that can never exist (RFC 2606): `--set image=REGISTRY/NAME:TAG` gives the real one."""
ENGINES = ("vllm", "none")
BY_REQUESTS, AS_IT_COMES = "least-requests", "own"
PICKERS = (BY_REQUESTS, AS_IT_COMES)
"""How the picker of a pool chooses: by requests in flight alone, or as its program does where nothing is said."""
VLLM_STACKS = ("cuda", "rocm", "xla", "neuron")
"""First words of the stacks that vLLM serves, on all of them with the same command line (vLLM documentation, 2026)."""
PORT = 8000
HEALTH_PATH = "/health"
API_PATH = "/v1"
PREFIX = "capacity-planner"
NO_TIME_LIMIT = {"timeouts": {"request": "0s"}}
"""Of a rule: a long answer is not cut; gateways end requests after 15 s and the like where nothing is said (Gateway API
v1, HTTPRouteTimeouts: 0s is none)."""
OPTIONS: Mapping[str, str] = {
    "image": IMAGE_NOT_SET,
    "image.": "",
    "engine.": "",
    "weights.": "",
    "arguments.": "",
    "namespace": "serving",
    "gateway": "inference-gateway",
    "domain": "",
    "cache_claim": "",
    "token_secret": "",
    "cpu_per_accelerator": "",
    "memory_gib_per_accelerator": "",
    "resource.": "",
    "taints": "",
}
FIXED_ARGUMENTS: Mapping[str, str] = {
    **dict.fromkeys(("--host", "--port", "--uds", "--root-path"), "Services, checks and gateways know the address"),
    **dict.fromkeys(("--grpc", "--grpc-port"), "Services, checks and gateways speak HTTP on one port"),
    **dict.fromkeys(
        ("--ssl-keyfile", "--ssl-certfile", "--ssl-ca-certs", "--ssl-cert-reqs", "--enable-ssl-refresh"),
        "checks and gateways speak HTTP without TLS inside the cluster",
    ),
    "--api-key": "gateways pass through the client's key, and a manifest is no place for one",
    "--served-model-name": "gateways ask for the model by its name in the study",
    **dict.fromkeys(("--model", "--model-tag"), "the weights stand before the arguments: see setting weights"),
    "--config": "a file of further arguments could set any of these",
    "--disable-log-stats": "a replica that is to end counts its requests in flight by its metrics",
    **dict.fromkeys(
        ("--headless", "--nnodes", "--node-rank", "--master-addr", "--master-port"),
        "the nodes of a replica find each other by what LeaderWorkerSet sets",
    ),
}
"""What gateways and manifests rely on, so that no setting changes it (vLLM 0.33.0, vllm/entrypoints/common/cli_args.py,
vllm/engine/arg_utils.py): argument -> why. vLLM takes any unambiguous beginning of an argument for it."""
_RESOURCE = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_IMAGE = re.compile(
    r"[a-z0-9][a-z0-9.-]*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+"
    r"(:(?!latest(@|$))[A-Za-z0-9_][A-Za-z0-9._-]{0,127}(@sha256:[0-9a-f]{64})?|@sha256:[0-9a-f]{64})"
)
_WEIGHTS = re.compile(r"[A-Za-z0-9/][A-Za-z0-9._:/-]{0,250}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,5}(\.[0-9]{1,3})?", re.ASCII)
_ARGUMENT = re.compile(r"--[a-z0-9][a-z0-9.-]*(=.*)?", re.ASCII | re.DOTALL)
_MOST_DOMAIN = 253 - 64
_CHECKS: Mapping[str, tuple[Callable[[str], object], str]] = {
    "image": (
        _IMAGE.fullmatch,
        "registry, name and tag or digest, never latest: registry.example/vllm:v0.33.0",
    ),
    "engine": (ENGINES.__contains__, " or ".join(ENGINES)),
    "weights": (_WEIGHTS.fullmatch, "a path, organisation/name or address of weights"),
    "arguments": (lambda text: _arguments(text) is not None, "--name or --name=value, several with spaces between"),
    "picker_image": (lambda text: not text or _IMAGE.fullmatch(text), "registry, name and tag or digest, never latest"),
    "picker": (lambda text: not text or text in PICKERS, " or ".join(PICKERS)),
    "namespace": (_NAME.fullmatch, "a name of lower-case letters, digits and hyphens"),
    "gateway": (_NAME.fullmatch, "a name of lower-case letters, digits and hyphens"),
    "domain": (lambda text: not text or is_domain(text), "a domain, as in serving.example.com"),
    "cache_claim": (lambda text: not text or _NAME.fullmatch(text), "the name of a PersistentVolumeClaim"),
    "token_secret": (lambda text: not text or _NAME.fullmatch(text), "the name of a Secret"),
    "cpu_per_accelerator": (lambda text: not text or _NUMBER.fullmatch(text), "processors, as in 12"),
    "memory_gib_per_accelerator": (lambda text: not text or _NUMBER.fullmatch(text), "GiB, as in 128"),
    "resource": (_RESOURCE.fullmatch, "an extended resource, vendor/thing"),
    "taints": (lambda text: taints_of(text) is not None, EXPECTED_TAINTS),
}


@dataclass(frozen=True)
class Settings:
    """Checked settings; what is not set is what `OPTIONS` says."""

    one: Mapping[str, str]
    many: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """beginning of a setting's name -> what follows it -> value"""

    def __getitem__(self, key: str) -> str:
        return self.one[key]

    def of(self, kind: str, r: Running) -> str | None:
        """The value for replicas: by model/profile, else by model, else by stack."""
        given = self.many.get(kind, {})
        keys = (f"{r.model.model}/{r.profile.name}", r.model.model, r.profile.stack)
        return next((given[key] for key in keys if key in given), None)

    def resource(self, r: Running) -> str:
        """Extended resource that a replica asks for."""
        return self.of("resource", r) or RESOURCES[first_word(r.profile.stack)]

    def image(self, r: Running) -> str:
        """Image in full."""
        return self.of("image", r) or self["image"]

    def engine(self, r: Running) -> str:
        """Program that serves: what is set, else vLLM where it knows the stack."""
        return self.of("engine", r) or ("vllm" if first_word(r.profile.stack) in VLLM_STACKS else "none")

    def arguments(self, r: Running) -> list[str]:
        """Further arguments of the program."""
        return _arguments(self.of("arguments", r) or "") or []


def first_word(stack: str) -> str:
    """First word of a stack.

    Examples
    --------
    >>> first_word("xla-tpu"), first_word("neuron@2.21")
    ('xla', 'neuron')
    """
    return stack_and_version(stack)[0].partition("-")[0]


def is_name(text: str) -> bool:
    """Whether a text is a name that every object of Kubernetes takes."""
    return bool(_NAME.fullmatch(text))


def is_domain(text: str) -> bool:
    """Whether a text is a domain that leaves 64 letters for a name before it."""
    return len(text) <= _MOST_DOMAIN and bool(_DOMAIN.fullmatch(text))


def settings(fleet: Fleet, options: Mapping[str, str], known: Mapping[str, str] = OPTIONS) -> Settings:
    """Settings of a target for Kubernetes.

    Parameters
    ----------
    known : the settings that the target has, with their defaults

    Raises
    ------
    InputError
        for every setting that does not fit or names no model, profile or stack, and every stack without a resource
    """
    findings = []
    one = {key: default for key, default in known.items() if not key.endswith(".")}
    many: dict[str, dict[str, str]] = {}
    names = _names(fleet)
    for key, value in options.items():
        kind, dot, of = key.partition(".")
        if kind not in _CHECKS:
            continue  # a setting of another target
        if finding := _unfit(key, value, names):
            findings.append(finding)
        elif dot:
            many.setdefault(kind, {})[of] = value
        else:
            one[key] = value
    findings += _relied_on(many.get("arguments", {}))
    if "resource." in known:
        findings += _without_resource(fleet, many.get("resource", {}))
    if findings:
        raise InputError(findings)
    return Settings(one, many)


def _names(fleet: Fleet) -> set[str]:
    """What a setting may be for: models, model/profile and stacks of the study."""
    names = set()
    for model in fleet.plan.study.models:
        for profile in model.profiles:
            names |= {model.model, f"{model.model}/{profile.name}", profile.stack}
    return names


def _unfit(key: str, value: str, names: set[str]) -> Finding | None:
    """What is wrong with a setting; none: nothing."""
    kind, dot, of = key.partition(".")
    check, expected = _CHECKS[kind]
    where = f"--set {key[:80]}"
    if not check(value) and value != OPTIONS.get(key):
        return Finding(where, expected, repr(value)[:80], "change it")
    if dot and of not in names:
        return Finding(where, "a model, model/profile or stack of the study", repr(of)[:80], "correct it")
    return None


def _relied_on(arguments: Mapping[str, str]) -> list[Finding]:
    """Arguments, or beginnings of such, that would change what gateways and manifests rely on."""
    findings = []
    for of, text in arguments.items():
        for part in _arguments(text) or ():
            name = part.partition("=")[0]
            fixed = next((known for known in FIXED_ARGUMENTS if known.startswith(name)), None)
            if fixed is not None:
                where, fix = f"--set arguments.{of[:80]}", f"leave it out: {FIXED_ARGUMENTS[fixed]}"
                findings.append(Finding(where, "arguments that nothing else relies on", repr(part)[:80], fix))
    return findings


def _without_resource(fleet: Fleet, resources: Mapping[str, str]) -> list[Finding]:
    """Stacks whose accelerators nobody can ask for."""
    findings = []
    for stack in sorted({r.profile.stack for r in fleet.running}):
        if first_word(stack) not in RESOURCES and stack not in resources:
            fix = f"--set resource.{stack[:40]}=vendor.com/thing"
            findings.append(Finding(f"stack {stack[:80]!r}", "a known extended resource", "none", fix))
    return findings


def endpoint_template(options: Mapping[str, str]) -> str:
    """Where gateways find the placements, given a domain: what `endpoint` of the gateways is by default then.

    Examples
    --------
    >>> endpoint_template({"domain": "serving.example.com"}), endpoint_template({})
    ('https://{placement}.serving.example.com/v1', '')
    """
    domain = options.get("domain", "")
    return f"https://{{placement}}.{domain}{API_PATH}" if domain and is_domain(domain) else ""


def _arguments(text: str) -> list[str] | None:
    """Arguments in a text; none where it has something else."""
    try:
        parts = shlex.split(text)
    except ValueError:
        return None
    return parts if all(_ARGUMENT.fullmatch(part) for part in parts) else None
