"""Envoy in front of the emitted routes: every placement is found well, and its requests are answered.

A gateway of the Gateway API is stood in for by one that reads the emitted HTTPRoutes and Services and follows them to a
Deployment; nothing answers that the manifests do not lead to.
"""

import asyncio
import json
import threading
from collections import Counter

import pytest
import yaml
from envoy_process import envoy_process, needs_envoy, page_of
from gateway_fakes import answer, posts, small_plan
from gateway_programs import free_ports, wait_until

from planner.emit import envoy
from planner.emit.kubernetes import files

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DOMAIN = "serving.example.com"


class RoutedCluster:
    """Answers what the manifests route: by host name and path to a Service, by its labels and port to replicas."""

    def __init__(self, made):
        listed = [o for p, text in made.items() if p.endswith(".yaml") for o in yaml.load_all(text, Loader=LOADER)]
        self.routes = [o["spec"] for o in listed if o["kind"] == "HTTPRoute"]
        self.services = {o["metadata"]["name"]: o["spec"] for o in listed if o["kind"] == "Service"}
        self.deployments = [o["spec"] for o in listed if o["kind"] == "Deployment"]
        self.hits = Counter()
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        starting = asyncio.start_server(self.talk, "127.0.0.1", 0)
        self.server = asyncio.run_coroutine_threadsafe(starting, self.loop).result(10)
        self.port = self.server.sockets[0].getsockname()[1]

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)

    def backend(self, host, path):
        """Service that a request is routed to, where replicas stand behind it; none: nowhere."""
        for route in self.routes:
            if host in route.get("hostnames", ()):
                for rule in route["rules"]:
                    for match in rule["matches"]:
                        kind, value = match["path"]["type"], match["path"]["value"]
                        if path == value or (kind == "PathPrefix" and path.startswith(f"{value}/")):
                            return self.answering(rule["backendRefs"][0])
        return None

    def answering(self, reference):
        service = self.services.get(reference["name"])
        ports = {p["port"]: p["targetPort"] for p in service["ports"]} if service else {}
        for deployment in self.deployments if reference["port"] in ports else ():
            template = deployment["template"]
            listens = {p["containerPort"] for p in template["spec"]["containers"][0]["ports"]}
            selected = service["selector"].items() <= template["metadata"]["labels"].items()
            if selected and deployment["replicas"] and ports[reference["port"]] in listens:
                return reference["name"]
        return None

    async def talk(self, reader, writer):
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                lines = head.lower().split("\r\n")
                length = next((int(line[15:]) for line in lines if line.startswith("content-length:")), 0)
                await reader.readexactly(length)
                host = next(line[5:].strip() for line in lines if line.startswith("host:"))
                name = self.backend(host, lines[0].split(" ")[1])
                if name is None:
                    writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
                else:
                    self.hits[name] += lines[0].startswith("post")
                    writer.write(answer(name))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def all_healthy(admin):
    """Whether Envoy finds every endpoint of a placement well."""
    page = page_of(admin, "/clusters?format=json")
    if not page:
        return False
    statuses = json.loads(page).get("cluster_statuses")
    if statuses is None:  # it has not read its clusters yet
        return False
    for cluster in statuses:
        for host in cluster.get("host_statuses", ()):
            zone = host.get("locality", {}).get("sub_zone", "")
            flags = {key: value for key, value in host["health_status"].items() if key != "eds_health_status"}
            if any(flags.values()) and not zone.startswith(("padding", "refusal")):
                return False
    return True


@pytest.mark.gateways
def test_envoy_reaches_every_placement_through_the_emitted_routes(tmp_path):
    needs_envoy()
    plan = small_plan()
    cluster = RoutedCluster(files(plan, {"domain": DOMAIN}))
    port, admin, refusal = free_ports(3)
    options = {
        "endpoint": f"http://{{placement}}.{DOMAIN}:{cluster.port}/v1",
        "port": str(port), "admin_port": str(admin), "refusal_port": str(refusal),
    }  # fmt: skip
    made = envoy.files(plan, options | {"folder": str(tmp_path)})
    data = yaml.load(made["origins/o1/clusters.yaml"], Loader=LOADER)
    for one in data["resources"]:  # no name server knows the names: only addresses are changed
        for group in one["load_assignment"]["endpoints"]:
            for at in group["lb_endpoints"]:
                at["endpoint"]["address"]["socket_address"]["address"] = "127.0.0.1"
    (tmp_path / "clusters.yaml").write_text(json.dumps(data))
    data = yaml.load(made["origins/o1/envoy.yaml"], Loader=LOADER)
    with envoy_process(tmp_path, data):
        wait_until(lambda: all_healthy(admin), "Envoy to find all placements well")
        for workload in ("chat", "long"):
            assert posts(port, f"/{workload}/chat/completions", 200) == {200: 200}
    cluster.close()
    assert sum(cluster.hits.values()) == 400 and set(cluster.hits) <= set(cluster.services)
