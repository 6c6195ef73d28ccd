"""From the errors of the use cases to OBShell's: one table (`obshell-wire.md` §1.5, §1.7).

Neutral codes come from `oboe.control.port`; ``request.*`` and ``auth.*`` are raised by this dialect itself. What the table does not know
is ``Common.Unexpected``, 500. A route may look a code up as another one, because the same condition has several names here.
"""

from __future__ import annotations

from collections.abc import Mapping

from oboe.api.shared.envelope import WireError
from oboe.domain.errors import OboeError, Refused

__all__ = ["TABLE", "UNEXPECTED", "translate"]

UNEXPECTED = ("Common.Unexpected", 500)
_HEADER_UNREADABLE = 1
"""Tells clients to fetch the public key again."""
_UNAUTHORIZED = 10008
"""Tells clients to try another password."""

TABLE: Mapping[str, tuple[str, int]] = {
    # The request itself
    "request.not_found": ("Common.NotFound", 404),
    "request.body": ("Common.BindJsonFailed", 400),
    "request.query": ("Request.Query.Param.Illegal", 400),
    "request.unread": ("Request.Body.ReadFailed", 400),
    "request.busy": ("Common.Unexpected", 503),
    "request.key_reused": ("Request.IdempotencyKey.Reused", 422),
    "request.key_busy": ("Request.IdempotencyKey.UnderWay", 409),
    "request.key_unfinished": ("Request.IdempotencyKey.Unfinished", 409),
    "request.plain": ("Common.BadRequest", 400),
    "request.no_keys": ("Request.AESKey.NotFound", 400),
    "address.bad_ip": ("Common.InvalidIp", 400),
    "address.bad_port": ("Common.InvalidPort", 400),
    "id.invalid": ("Task.GenericID.Invalid", 400),
    # Who asks
    "auth.no_header": ("Request.Header.NotFound", 400),
    "auth.peer": ("Security.User.PermissionDenied", 401),
    "auth.no_forward_header": ("Request.Forward.Header.NotExist", 500),
    "secrecy.undecipherable": ("Security.Authentication.Header.DecryptFailed", 401),
    "auth.other_uri": ("Security.Authentication.Header.UriMismatch", 401),
    "auth.expired": ("Security.Authentication.Expired", 401),
    "auth.bad_timestamp": ("Security.Authentication.Timestamp.Invalid", 401),
    "auth.root_password": ("Security.Authentication.IncorrectOceanbasePassword", 401),
    "auth.agent_password": ("Security.Authentication.IncorrectAgentPassword", 401),
    "auth.needs_agent_password": ("Security.Authentication.WithAgentPassword", 401),
    "auth.needs_root_password": ("Security.Authentication.WithOceanBasePassword", 401),
    "auth.no_agent_password": ("Security.Authentication.AgentPasswordNotInitialized", 401),
    "auth.session_unknown": ("Security.Authentication.SessionInvalid", 401),
    "auth.session_expired": ("Security.Authentication.SessionExpired", 401),
    "sso.missing": ("Security.SSO.Token.Missing", 401),
    "sso.unknown": ("Security.SSO.Token.NotFound", 401),
    "sso.used": ("Security.SSO.Token.AlreadyUsed", 401),
    "sso.expired": ("Security.SSO.Token.Expired", 401),
    # Tasks
    "task.not_found": ("Task.NotFound", 404),
    "task.no_cluster_maintenance": ("Task.NotFound", 404),
    "task.no_agent_maintenance": ("Task.NotFound", 404),
    "task.lost_race": ("Gorm.NoRowAffected", 500),
    "store.stale": ("Gorm.NoRowAffected", 500),
    "rpc.lost_race": ("Gorm.NoRowAffected", 500),
    "dag.waiting": ("Task.Dag.State.Invalid", 400),
    "retry.torn": ("Task.Dag.Operator.RetryNotAllowed", 400),
    "dag.not_created": ("Task.CreateFailed", 500),
    "dag.set_aside": ("Task.Engine.Unexpected", 500),
    "dag.unfit": ("Task.Engine.Unexpected", 500),
    "child.busy": ("Task.Engine.Unexpected", 500),
    "engine.busy": ("Task.Engine.Unexpected", 500),
    "engine.slow": ("Task.Engine.Unexpected", 500),
    "engine.stopping": ("Task.Engine.Unexpected", 500),
    "engine.turn_failed": ("Task.Engine.Unexpected", 500),
    "store.busy": ("Task.Engine.Unexpected", 500),
    "store.failed": ("Task.Engine.Unexpected", 500),
    "store.went_back": ("Task.Engine.Unexpected", 500),
    "store.closed": ("Agent.Sqlite.DB.NotInit", 500),
    "store.unusable": ("Agent.Sqlite.DB.NotInit", 500),
    "store.corrupt": ("Agent.Sqlite.DB.NotInit", 500),
    "store.no_space": ("Environment.DiskSpaceNotEnough", 500),
    "plan.no_nodes": ("Task.Template.Empty", 500),
    "operator.unknown": ("Task.Dag.Operator.NotSupport", 400),
    "node_operator.unknown": ("Task.Node.Operator.NotSupport", 400),
    "retry.not_failed": ("Task.Dag.Operator.RetryNotFailedDag", 400),
    "retry.not_allowed": ("Task.Dag.Operator.RetryNotAllowed", 400),
    "rollback.not_failed": ("Task.Dag.Operator.RollbackNotFailedDag", 400),
    "rollback.not_allowed": ("Task.Dag.Operator.RollbackNotAllowed", 400),
    "cancel.finished": ("Task.Dag.Operator.CancelFinishedDag", 400),
    "cancel.not_allowed": ("Task.Dag.Operator.CancelNotAllowed", 400),
    "pass.not_failed": ("Task.Dag.Operator.PassNotFailedDag", 400),
    "pass.not_allowed": ("Task.Dag.Operator.PassNotAllowed", 400),
    "node_pass.dag_not_failed": ("Task.Node.Operator.PassNotFailedDag", 400),
    "node_pass.node_not_failed": ("Task.Node.Operator.PassNotFailedNode", 400),
    "node_pass.not_allowed": ("Task.Node.Operator.PassNotAllowed", 400),
    "skip.not_failed": ("Task.Dag.Operator.NotSupport", 400),
    "skip.not_rolling_back": ("Task.Dag.Operator.NotSupport", 400),
    "skip.not_allowed": ("Task.Dag.Operator.NotSupport", 400),
    # Agents
    "agent.wrong_identity": ("Agent.Identify.NotSupportOperation", 400),
    "agent.not_single": ("Agent.Identify.NotSupportOperation", 400),
    "agent.identity_unknown": ("Agent.Identify.Unknown", 500),
    "agent.not_member": ("Agent.NotExist", 400),
    "agent.no_master": ("Agent.NoMaster", 500),
    "forward.silent": ("Agent.RPC.RequestFailed", 500),
    "forward.no_master": ("Request.Forward.MasterAgent.NotFound", 500),
    "agent.unknown": ("Agent.NotExist", 400),
    "agent.already_member": ("Agent.AlreadyExists", 500),
    "agent.version_differs": ("Agent.Version.Inconsistent", 400),
    "agent.version_higher": ("OB.Cluster.ScaleOutHigherVersion", 400),
    "agent.version_lower": ("OB.Cluster.ScaleOutLowerVersion", 400),
    "agent.database_version_differs": ("Agent.OB.Version.Inconsistent", 400),
    "agent.unavailable": ("Agent.RPC.RequestFailed", 500),
    "agent.no_certificate": ("Agent.RPC.RequestError", 500),
    "agent.starting": ("Agent.Unavailable", 500),
    "handshake.altered": ("Agent.RPC.RequestFailed", 500),
    "handshake.busy": ("Agent.RPC.RequestFailed", 500),
    "handshake.not_understood": ("Agent.RPC.RequestFailed", 500),
    "handshake.replayed": ("Agent.RPC.RequestFailed", 500),
    "handshake.unread": ("Agent.RPC.RequestFailed", 500),
    "handshake.unsealed": ("Agent.RPC.RequestFailed", 500),
    "secrecy.bad_key": ("Agent.Response.DataFormatInvalid", 500),
    "rpc.busy": ("Agent.RPC.RequestFailed", 500),
    "rpc.gone": ("Agent.RPC.RequestFailed", 500),
    "rpc.interrupted": ("Agent.RPC.RequestFailed", 500),
    "rpc.stopping": ("Agent.RPC.RequestFailed", 500),
    "rpc.too_large": ("Agent.RPC.RequestFailed", 500),
    "rpc.unknown_verb": ("Agent.RPC.RequestFailed", 500),
    "rpc.unreadable": ("Agent.Response.DataFormatInvalid", 500),
    "maintenance.held": ("Agent.UnderMaintenance", 500),
    "maintenance.cluster_held": ("OB.Cluster.UnderMaintenanceWithDag", 500),
    "maintenance.tenant_held": ("OB.Tenant.UnderMaintenance", 500),
    # The cluster and its configuration
    "cluster.none": ("Agent.OceanBase.NotHold", 500),
    "cluster.no_database": ("Agent.OceanBase.NotHold", 500),
    "server.no_process": ("OB.Server.Process.NotExist", 500),
    "cluster.no_primary": ("Agent.OceanBase.Useless", 500),
    "cluster.no_maintainer": ("Agent.Coordinator.IsFaulty", 500),
    "store.away": ("Agent.OceanBase.Useless", 500),
    "store.absent": ("Agent.OceanBase.Useless", 500),
    "store.denied": ("Agent.OceanBase.Useless", 500),
    "store.read_only": ("Agent.OceanBase.Useless", 500),
    "cluster.primary_moved": ("Agent.OceanBase.Useless", 500),
    "leader.moving": ("Agent.Coordinator.IsFaulty", 500),
    "leader.unreachable": ("Agent.Coordinator.IsFaulty", 500),
    "agent.not_maintainer": ("Agent.Coordinator.IsFaulty", 500),
    "cluster.already_initialized": ("OB.Cluster.AlreadyInitialized", 400),
    "cluster.id_invalid": ("OB.Cluster.Id.Invalid", 400),
    "cluster.name_empty": ("OB.Cluster.Name.Empty", 400),
    "cluster.not_configured": ("OB.Cluster.Name.Empty", 400),
    "cluster.password_encrypted": ("OB.Cluster.Password.Encrypted", 400),
    "scope.invalid": ("OB.Cluster.Scope.Invalid", 400),
    "scope.empty": ("Common.IllegalArgument", 400),
    "zone.unknown": ("OB.Zone.NotExist", 400),
    "config.empty": ("Common.IllegalArgument", 400),
    "config.denied": ("Common.IllegalArgument", 400),
    "config.conflict": ("Common.IllegalArgument", 400),
    "config.below_floor": ("Common.IllegalArgument", 400),
    "config.invalid": ("Common.IllegalArgument", 400),
    "config.port_taken": ("Common.IllegalArgument", 400),
    "config.not_a_pair": ("Common.IllegalArgument", 400),
    "cluster.not_initialized": ("OB.Cluster.NotInitialized", 400),
    "stop.mode_conflict": ("OB.Cluster.StopModeConflict", 400),
    "stop.all": ("OB.Cluster.ForceStopOrTerminateRequired", 400),
    "stop.primary": ("OB.Cluster.ForceStopOrTerminateRequired", 400),
    "stop.force_required": ("OB.Cluster.ForceStopRequired", 400),
    "server.never_started": ("OB.Server.HasNotBeenStarted", 500),
    "server.stopped_elsewhere": ("OB.Server.StoppedInMultiZone", 400),
    "zone.is_own": ("OB.Zone.DeleteSelf", 400),
    "zone.not_empty": ("OB.Zone.NotEmpty", 400),
    "agent.let_go": ("Agent.Identify.NotSupportOperation", 400),
    "server.is_self": ("OB.Server.DeleteSelf", 400),
    "server.is_primary": ("Common.IllegalArgument", 400),
    "cluster.no_quorum": ("OB.Cluster.MultiPaxosNotAlive", 400),
    "config.no_free_port": ("Common.IllegalArgument", 400),
    "database.access_denied": ("Agent.OceanBase.Useless", 500),
    "database.busy": ("Agent.OceanBase.Useless", 500),
    "database.not_invited": ("Agent.OceanBase.Useless", 500),
    "database.statement": ("MySQL.Error", 400),
    "database.unknown_schema": ("MySQL.Error", 400),
    "database.none": ("Agent.OceanBase.NotHold", 500),
    "database.down": ("OB.Server.Unavailable", 500),
    "database.unreachable": ("OB.Server.Unavailable", 500),
    "database.unavailable": ("Environment.WithoutModule", 500),
}


_OWN_WORDS = ("host", "package", "ssh")
"""What the original has no codes for is told in its style: ``ssh.host_key_changed`` is ``SSH.HostKeyChanged``."""


def translate(error: OboeError, lookup: Mapping[str, str] | None = None) -> WireError:
    """The error as a client reads it; its message ends with the hint. ``lookup`` renames neutral codes first."""
    neutral = (lookup or {}).get(error.code, error.code)
    found = TABLE.get(neutral) or (_in_own_words(error) if neutral.split(".")[0] in _OWN_WORDS else UNEXPECTED)
    return WireError(found[1], found[0], str(error), _legacy(found[0]))


def _in_own_words(error: OboeError) -> tuple[str, int]:
    subject, _, reason = error.code.partition(".")
    word = "SSH" if subject == "ssh" else subject.capitalize()
    status = 404 if reason == "unknown" else 400 if isinstance(error, Refused) else 503
    return f"{word}.{reason.title().replace('_', '')}", status


def _legacy(err_code: str) -> int:
    if err_code == "Security.Authentication.Header.DecryptFailed":
        return _HEADER_UNREADABLE
    return _UNAUTHORIZED if err_code.startswith("Security.Authentication.") else 0
