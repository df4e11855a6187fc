"""Options of a gateway target: endpoints of placements, names of secrets, ports. Only what is listed is accepted."""

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from planner.emit.limits import ALWAYS, GOALS
from planner.emit.names import slug
from planner.errors import Finding, InputError
from planner.problem.problem import Problem

NOT_SET = "endpoint-not-set.invalid"
"""Where the endpoint is not given: a host that can never be (RFC 2606)."""
SCHEMES = {"http": 80, "https": 443}
HOST = re.compile(r"[a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])?", re.ASCII | re.IGNORECASE)
PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*/?", re.ASCII)
FIELDS = ("placement", "pool", "site", "provider", "model")


@dataclass(frozen=True)
class Endpoint:
    """Where a placement answers: scheme, host, port and path of its OpenAI-compatible interface."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def url(self) -> str:
        """The address in one piece."""
        default = "" if SCHEMES[self.scheme] == self.port else f":{self.port}"
        return f"{self.scheme}://{self.authority}{default}{self.path}"

    @property
    def authority(self) -> str:
        """The host as requests name it: an address of IPv6 in brackets."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def is_set(self) -> bool:
        """Whether it was given."""
        return not self.host.endswith(NOT_SET)

    @property
    def is_address(self) -> bool:
        """Whether the host is an IP address, so that nothing has to be resolved."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return True


def endpoint(text: str) -> Endpoint | None:
    """An http or https address without user, query or fragment; None when it is anything else.

    Examples
    --------
    >>> endpoint("https://a.example/v1"), endpoint("os.environ/SECRET")
    (Endpoint(scheme='https', host='a.example', port=443, path='/v1'), None)
    """
    if not text.isascii() or not text.isprintable():
        return None
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in SCHEMES or host is None or port == 0 or "@" in parts.netloc:
        return None
    if parts.query or parts.fragment or text.endswith(("?", "#")) or not PATH.fullmatch(parts.path):
        return None
    if {".", ".."} & set(parts.path.split("/")):
        return None
    made = Endpoint(parts.scheme, host, SCHEMES[parts.scheme] if port is None else port, parts.path.rstrip("/"))
    return made if made.is_address or HOST.fullmatch(host) else None


def chosen(options: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    """The options with their defaults.

    Raises
    ------
    InputError
        for every option that the target does not have
    """
    findings = [
        Finding(f"option {name}", f"one of {', '.join(sorted(known))}", "no such option", "leave it out")
        for name in sorted(set(options) - set(known))
    ]
    if findings:
        raise InputError(findings)
    return {**known, **options}


def endpoints(p: Problem, model_of: Mapping[str, str], template: str, given: str) -> dict[str, Endpoint]:
    """Placement -> endpoint: as given one by one, else by the template, else a host that can never be.

    Parameters
    ----------
    model_of : placement -> model, for all placements that are wanted

    Raises
    ------
    InputError
        for each that is not an http or https address
    """
    one_by_one = _one_by_one(given, set(p.placements))
    made: dict[str, Endpoint] = {}
    findings: set[Finding] = set()
    for e, model in sorted(model_of.items()):
        text = one_by_one.get(e) or (filled(template, p, e, model) if template else f"https://{slug(e)}.{NOT_SET}/v1")
        at = endpoint(text)
        if at is None:
            where = "option endpoints" if e in one_by_one else "option endpoint"
            expected = "an address like https://{placement}.example.com/v1"
            fix = f"http or https, a host, no user, query or fragment; fields: {', '.join(FIELDS)}"
            findings.add(Finding(where, expected, repr(text)[:120], fix))
        else:
            made[e] = at
    if findings:
        raise InputError(sorted(findings))
    return made


def filled(template: str, p: Problem, e: str, model: str) -> str:
    """The template with `{placement}`, `{pool}`, `{site}`, `{provider}` and `{model}` as slugs; others stay."""
    pool = p.pool_of[e]
    site = p.site_of[pool]
    values = {"placement": e, "pool": pool, "site": site, "provider": p.provider_of[pool], "model": model}
    return re.sub(r"\{(" + "|".join(FIELDS) + r")\}", lambda match: slug(values[match[1]]), template)


def _one_by_one(given: str, known: set[str]) -> dict[str, str]:
    if not given:
        return {}
    try:
        data: Any = json.loads(given)
    except (ValueError, RecursionError) as error:
        raise _not_a_map(f"{error}"[:80]) from error
    if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
        raise _not_a_map("something else")
    findings = [
        Finding("option endpoints", "placements of the plan", repr(e)[:120], "placements are in routing.json")
        for e in sorted(set(data) - known)
    ]
    if findings:
        raise InputError(findings)
    return data


def _not_a_map(got: str) -> InputError:
    fix = '{"model/profile@pool": "https://..."}'
    return InputError([Finding("option endpoints", "a JSON object, placement: address", got, fix)])


def integer(options: Mapping[str, str], name: str, least: int, most: int) -> int:
    """An option as an integer.

    Raises
    ------
    InputError
        when it is none, or out of range
    """
    text = options[name]
    if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) or not least <= int(text) <= most:
        expected = f"a whole number from {least} to {most}"
        raise InputError([Finding(f"option {name}", expected, repr(text)[:40], "correct it")])
    return int(text)


def hold(options: Mapping[str, str]) -> str:
    """Option `limits`: in which failures the limits hold.

    Raises
    ------
    InputError
        when it is neither
    """
    limits = options["limits"]
    if limits not in (GOALS, ALWAYS):
        fix = f"{GOALS} is the default"
        raise InputError([Finding("option limits", f"{GOALS} or {ALWAYS}", repr(limits)[:40], fix)])
    return limits


def secret_name(provider: str) -> str:
    """Name of the environment variable with a provider's key: upper case, never the key itself.

    Examples
    --------
    >>> secret_name("aws")
    'AWS_SERVING_API_KEY'
    """
    return f"{slug(provider).replace('-', '_').upper()}_SERVING_API_KEY"
