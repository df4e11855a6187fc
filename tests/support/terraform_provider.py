"""A Terraform provider that knows schemas and does nothing: `python terraform_provider.py SCHEMA.json`.

Terraform checks arguments, types and references against what a provider says it has. This one reads them from a file in
the form of `terraform providers schema -json` and answers every other question with what it was asked, so that
`validate`, `test`, `plan` and `apply` run without a cloud. Needs the packages `tf` and `msgpack`.
"""

import json
import sys
from pathlib import Path
from typing import Any

import msgpack
import tf.provider
import tf.runner
from tf.gen import tfplugin_pb2 as pb
from tf.gen import tfplugin_pb2_grpc as rpc

NESTING = {"single": 1, "list": 2, "set": 3, "map": 4, "group": 5}
FLAGS = ("required", "optional", "computed", "sensitive")


def block_of(data: dict[str, Any]) -> Any:
    """A block of the schema file as a message."""
    block = pb.Schema.Block(version=0)
    for name, a in sorted(data.get("attributes", {}).items()):
        flags = {flag: bool(a.get(flag)) for flag in FLAGS}
        block.attributes.append(pb.Schema.Attribute(name=name, type=json.dumps(a["type"]).encode(), **flags))
    for name, nested in sorted(data.get("block_types", {}).items()):
        limits = {"min_items": nested.get("min_items", 0), "max_items": nested.get("max_items", 0)}
        kind = NESTING[nested["nesting_mode"]]
        block.block_types.append(
            pb.Schema.NestedBlock(type_name=name, block=block_of(nested["block"]), nesting=kind, **limits)
        )
    return block


def schemas_of(found: dict[str, Any]) -> dict[str, Any]:
    return {name: pb.Schema(version=s.get("version", 0), block=block_of(s["block"])) for name, s in found.items()}


class Provider(rpc.ProviderServicer):
    """Schemas from a file; everything else comes back as it was sent."""

    def __init__(self, path: str) -> None:
        (found,) = json.loads(Path(path).read_text(encoding="utf-8"))["provider_schemas"].values()
        own = found.get("provider") or {"block": {}}
        self.schema = pb.GetProviderSchema.Response(
            provider=pb.Schema(version=0, block=block_of(own["block"])),
            resource_schemas=schemas_of(found.get("resource_schemas", {})),
            data_source_schemas=schemas_of(found.get("data_source_schemas", {})),
        )

    def GetMetadata(self, request: Any, context: Any) -> Any:
        return pb.GetMetadata.Response(
            resources=[pb.GetMetadata.ResourceMetadata(type_name=n) for n in self.schema.resource_schemas]
        )

    def GetProviderSchema(self, request: Any, context: Any) -> Any:
        return self.schema

    def ValidateProviderConfig(self, request: Any, context: Any) -> Any:
        return pb.ValidateProviderConfig.Response()

    def ValidateResourceConfig(self, request: Any, context: Any) -> Any:
        return pb.ValidateResourceConfig.Response()

    def ValidateDataResourceConfig(self, request: Any, context: Any) -> Any:
        return pb.ValidateDataResourceConfig.Response()

    def ConfigureProvider(self, request: Any, context: Any) -> Any:
        return pb.ConfigureProvider.Response()

    def ReadDataSource(self, request: Any, context: Any) -> Any:
        state = msgpack.unpackb(request.config.msgpack, raw=False)
        return pb.ReadDataSource.Response(state=pb.DynamicValue(msgpack=msgpack.packb(state)))

    def UpgradeResourceState(self, request: Any, context: Any) -> Any:
        state = json.loads(request.raw_state.json)
        return pb.UpgradeResourceState.Response(upgraded_state=pb.DynamicValue(msgpack=msgpack.packb(state)))

    def ReadResource(self, request: Any, context: Any) -> Any:
        return pb.ReadResource.Response(new_state=request.current_state)

    def PlanResourceChange(self, request: Any, context: Any) -> Any:
        return pb.PlanResourceChange.Response(planned_state=request.proposed_new_state)

    def ApplyResourceChange(self, request: Any, context: Any) -> Any:
        return pb.ApplyResourceChange.Response(new_state=request.planned_state)

    def StopProvider(self, request: Any, context: Any) -> Any:
        return pb.StopProvider.Response()


if __name__ == "__main__":
    tf.provider.ProviderServicer = Provider
    tf.runner.run_provider(sys.argv[1], sys.argv[:1])
