"""What the vendor's own Python SDK, unmodified, reads back from an agent of ours."""

from __future__ import annotations

from typing import Any

from oboe.domain.values import Address

__all__ = ["show_what_the_sdk_reads"]


def show_what_the_sdk_reads(address: Address, password: str) -> None:
    """Print ``maintain/ob``, ``maintain/agent``, ``unfinish``, dag details and the cluster, as the SDK's objects have them."""
    from obshell import ClientSet
    from obshell.auth import PasswordAuth
    from obshell.model.task import DagDetailDTO

    client: Any = ClientSet(address.ip, address.port, auth=PasswordAuth(password)).v1
    # The SDK's own method for maintain/ob parses the object as a list and gives []: so its transport, with its model.
    request = client.create_request("/api/v1/task/dag/maintain/ob", "GET", query_param={"show_details": True})
    newest = client._handle_ret_request(request, DagDetailDTO)
    print(f"  maintain/ob     {_dag(newest)}")
    print(f"  maintain/agent  {_dag(client.get_agent_last_maintenance_dag())}")
    print(f"  unfinish        {[_dag(each) for each in client.get_unfinished_dags()]}")
    details = client.get_dag(newest.generic_id)
    print(f"  dag {newest.generic_id}")
    for node in details.nodes:
        agents = " ".join(each.execute_agent for each in node.sub_tasks)
        print(f"    {node.state:<8} {node.name:<44} {agents}")
    seen = client.get_ob_info()
    agents = ", ".join(f"{each.ip}:{each.port} {each.identity}" for each in seen.agents)
    print(f"  ob/info         {seen.cluster.cluster_name}: {agents}")


def _dag(dag: Any) -> str:
    return f"{dag.generic_id} {dag.name} {dag.stage}/{dag.max_stage} {dag.state} {dag.operator}"
