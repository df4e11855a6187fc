"""How sets of Kubernetes objects are pushed: the words and commands of their runbooks."""

from planner.emit.routing import WEIGHTS_ADD_UP_TO, Route
from planner.emit.runbook import Pushing
from planner.emit.spill import backend_groups, let_through_fraction
from planner.emit.text import percent

ROW = (
    "{.metadata.name} {.metadata.annotations.capacity-planner/set} {.metadata.generation}"
    ' {.status.conditions[*].observedGeneration} {.status.conditions[?(@.type=="Accepted")].status}{"\\n"}'
)
"""A row of `kubectl get`: name, set, generation, the generation that its controller has seen, whether it took it."""


def ai_gateway_pushing(namespace: str) -> Pushing:
    """A file of all routes that is applied; which set is in force stands in the objects."""
    routes = f"kubectl --context GATEWAY --namespace {namespace} get aigatewayroutes"
    asks = f"{routes} -o jsonpath='{{range .items[*]}}{ROW}{{end}}'"
    return Pushing(
        about=(
            "The folder of a gateway is `origins/ORIGIN` of this emission, and GATEWAY stands for kubectl's context\n"
            "of the cluster that runs it: names are the same in all of them, so never leave it out. Its gateway.yaml\n"
            "has the placements of every set and is applied once, before anything fails.",
            "A set is all routes of a gateway, so any may follow any, and applying one twice changes nothing. What\n"
            "would change says `kubectl --context GATEWAY diff -f SET/routes.yaml`. Where the API server of a\n"
            "gateway's cluster is lost nothing can be pushed there: keep it out of what may fail.",
            "Name, set, generation of each route, the generation that the controller has seen, and whether it took it:",
            f"    {asks}",
            "How long Envoy takes from there was not measured, as no controller was run: count requests by placement.",
        ),
        command="kubectl --context GATEWAY apply -f {set}/routes.yaml",
        shows="every row of the command above says `{id}`, the same generation twice, and True",
        shares=_shares,
    )


def _shares(route: Route) -> str:
    """What each placement of a route gets. One that is shed in part has a limit: of fewer requests less is refused."""
    if not (groups := backend_groups(route)):
        return "none: an error"
    served, first = let_through_fraction(route), groups[0]
    shares = [f"{x.id} {percent(weight / WEIGHTS_ADD_UP_TO * served)}" for x, weight in first]
    if len(groups) > 1:
        more = sum(len(group) for group in groups[1:])
        shares.append(f"{more} more when these fail")
    if served < 1:
        shares.append(f"refused (429) {percent(1 - served)} at this rate, at a lower one less")
    return ", ".join(shares)
