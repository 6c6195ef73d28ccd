"""Routes that start and stop databases of the cluster, and remove zones (`obshell-wire.md` §5.4)."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from oboe.api.obshell import ids
from oboe.api.obshell.objects import DagObject, TaskId
from oboe.api.obshell.route import Call, Route
from oboe.api.shared.envelope import NO_DATA
from oboe.control.views import Ref
from oboe.domain.errors import Refused

__all__ = ["ROUTES"]

_MAIN_DAGS_MAX = 100

_NAMES_A_TARGET = {
    "anyOf": [
        {"properties": {"type": {"const": "GLOBAL"}}},
        {"required": ["target"], "properties": {"target": {"type": "array", "minItems": 1}}},
    ]
}


class LifeScope(msgspec.Struct):
    type: Annotated[str, msgspec.Meta(extra_json_schema={"enum": ["GLOBAL", "ZONE", "SERVER"]})]
    target: list[str] | None = None


class ForcePass(msgspec.Struct):
    """Main dags whose parts may still hold agents."""

    id: list[TaskId] | None = None


class Start(msgspec.Struct, rename="camel"):
    scope: Annotated[LifeScope, msgspec.Meta(extra_json_schema=_NAMES_A_TARGET)]
    force_pass_dag: ForcePass | None = None


class Stop(msgspec.Struct, rename="camel"):
    scope: Annotated[LifeScope, msgspec.Meta(extra_json_schema=_NAMES_A_TARGET)]
    force: bool | None = None
    terminate: bool | None = None
    force_pass_dag: ForcePass | None = None


class StopZone(msgspec.Struct):
    freeze_server: bool | None = None
    force_pass_dag: ForcePass | None = msgspec.field(default=None, name="forcePassDag")


def start(call: Call) -> Any:
    """Start servers of the cluster; works while the cluster's store is away.

    Asked on the agent's unix socket, of exactly its own server, it is an emergency start where the cluster cannot help (§5.4)."""
    asked = call.bind(Start)
    scope, target, force_pass = asked.scope.type, asked.scope.target or [], _refs(asked.force_pass_dag)
    return call.started(
        lambda dry: call.control.life.start(scope, target, force_pass=force_pass, emergency=call.local, caller=call.caller, dry_run=dry),
        null_on_error=True,
    )


def stop(call: Call) -> Any:
    """Stop servers of the cluster: gracefully, by force, or after a checkpoint; in an emergency as `start`, by force only."""
    asked = call.bind(Stop)
    scope, target, force_pass = asked.scope.type, asked.scope.target or [], _refs(asked.force_pass_dag)
    return call.started(
        lambda dry: call.control.life.stop(
            scope,
            target,
            force=bool(asked.force),
            terminate=bool(asked.terminate),
            force_pass=force_pass,
            emergency=call.local,
            caller=call.caller,
            dry_run=dry,
        ),
        null_on_error=True,
    )


def stop_zone(call: Call) -> Any:
    """Stop every server of a zone, gracefully."""
    asked, zone = call.bind(StopZone), call.path_values["zone_name"]
    force_pass = _refs(asked.force_pass_dag)
    return call.started(
        lambda dry: call.control.life.stop_zone(
            zone, freeze=bool(asked.freeze_server), force_pass=force_pass, caller=call.caller, dry_run=dry
        )
    )


def check_zone_stop(call: Call) -> Any:
    """Whether the zone may be stopped."""
    _refs(call.bind(StopZone).force_pass_dag)
    call.control.life.check_zone_stop(call.path_values["zone_name"])
    return NO_DATA


def delete_zone(call: Call) -> Any:
    """Remove a zone with its servers and their agents."""
    return call.started(lambda dry: call.control.life.delete_zone(call.path_values["name"], caller=call.caller, dry_run=dry))


def _refs(asked: ForcePass | None) -> list[Ref]:
    named = list(dict.fromkeys((asked.id if asked else None) or []))
    if len(named) > _MAIN_DAGS_MAX:
        raise Refused("request.body", f"{len(named)} main dags are named, at most {_MAIN_DAGS_MAX} are looked up")
    return [ids.decode("dag", one) for one in named]


_DRY = ("dry_run",)
_CLUSTER_HELD = {"maintenance.held": "maintenance.cluster_held"}

ROUTES = (
    Route(method="POST", path="/ob/start", handler=start, body=Start, answers=DagObject, query=_DRY),
    Route(method="POST", path="/ob/stop", handler=stop, body=Stop, answers=DagObject, query=_DRY),
    Route(method="POST", path="/ob/zone/:zone_name/stop", handler=stop_zone, body=StopZone, answers=DagObject, query=_DRY),
    Route(method="POST", path="/ob/zone/:zone_name/stop/check", handler=check_zone_stop, body=StopZone),
    Route(method="DELETE", path="/zone/:name", handler=delete_zone, answers=DagObject, query=_DRY, lookup=_CLUSTER_HELD),
)
