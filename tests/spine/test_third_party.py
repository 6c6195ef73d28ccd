"""A third party's playbook that is kept in the cluster: asked of any member, carried out by all, its secret opened by each."""

from __future__ import annotations

from pathlib import Path

from oboe.cli.client import OWN
from oboe.cli.dags import read_dag
from tests.spine.world import World, lines

TOKEN = "hush-4711-of-everybody"
BOOK = '''
import msgspec
from oboe.kit import HomeKind, Run, Secret, Sketch, Step, playbook

class Params(msgspec.Struct):
    token: Secret

class Count(Step):
    """Count its letters."""
    resumable = True
    timeout = 30
    irreversible = "nothing is touched"

    def run(self, run: Run) -> list:
        run.log(f"{run.params(Params).token} has {len(run.params(Params).token.reveal())} letters, says {run.here}")
        return [str(run.here), run.first("before", lambda: len(run.result("Count") or []))]

@playbook("Everybody", home=HomeKind.CLUSTER, params=Params)
def everybody(params: Params, sketch: Sketch) -> None:
    """Every member counts, at once and then in turn."""
    sketch.stage("Count", Count, agents=sketch.members, parallel=True)
    sketch.serial("Count again", Count, agents=sketch.members)
    sketch.stage("Sum", Count)
'''


def test_every_member_carries_out_its_part_of_a_dag_of_the_cluster(cluster: World, tmp_path: Path) -> None:
    (tmp_path / "everybody.py").write_text(BOOK)
    hosts = cluster.hosts[:2]
    for host in hosts:
        host.agent.registry.add_directory(tmp_path)
        assert host.agent.registry.unloaded == ()
    for asked in hosts:
        made = read_dag(cluster.client(asked).post(f"{OWN}/playbooks/Everybody", {"params": {"token": TOKEN}}).data)
        dag = cluster.good(cluster.over(asked, made))
        members = sorted(str(host.address) for host in hosts)
        told = [f"*** has {len(TOKEN)} letters, says {member}" for member in members]
        assert [node.name for node in dag.nodes] == ["Count", "Count again", "Count again", "Sum"]
        assert lines(dag)[:4] == told * 2
        assert lines(dag)[4] in told  # wherever the cluster is maintained
    tables = [row[0] for row in cluster.store.rows("SHOW TABLES")]
    assert not any(TOKEN in str(cluster.store.rows(f"SELECT * FROM {table}")) for table in tables)
