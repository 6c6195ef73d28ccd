"""OceanBase's names come to an instance of seekdb, or are refused with a reason."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from oboe.database.port import Configured, Instance
from oboe.database.seekdb import SeekdbDriver, parameters
from oboe.database.seekdb.configuration import DEFAULTS, size_bytes
from oboe.domain.errors import Refused

HOME = Path("/var/lib/oboe")
driver = SeekdbDriver(Path("/nowhere/seekdb"))


def configure(taken_ports: tuple[int, ...] = (), home: Path = HOME, ip: str = "127.0.0.1", **settings: str) -> Configured:
    return driver.configure(settings, home=home, ip=ip, zone="zone1", taken_ports=taken_ports)


def test_names_are_mapped_and_defaults_are_small() -> None:
    found = configure(mysql_port="24881", rpc_port="24882", memory_limit="2g", datafile_maxsize="1 TB", cpu_count="2", enable_ddl="true")
    assert found == Configured(
        Instance(
            base_dir="/var/lib/oboe/seekdb",
            ip="127.0.0.1",
            mysql_port=24881,
            rpc_port=24882,
            zone="zone1",
            settings={**DEFAULTS, "memory_budget": "2G", "datafile_maxsize": "1TB", "cpu_count": "2", "enable_ddl": "True"},
        ),
        (),
    )


def test_directories_are_taken_as_given() -> None:
    instance = configure(home_path="/data/one/", data_dir="/data/two", redo_dir="/data/three").instance
    assert (instance.base_dir, instance.data_dir, instance.redo_dir) == ("/data/one", "/data/two", "/data/three")


def test_each_name_without_use_is_told_once() -> None:
    found = configure(system_memory="1G", no_such_thing="x", enable_rpc_tls="False", memory_limit="4G", memory_budget="2G")
    assert sorted(found.warnings) == [
        "enable_rpc_tls is not used: oboe sets it itself",
        "memory_limit is not used: memory_budget is given as well",
        "no_such_thing is kept but not used: seekdb has no such parameter",
        "system_memory is kept but not used: seekdb has no such parameter",
    ]
    assert found.instance.settings == {**DEFAULTS, "memory_budget": "2G"}


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"memory_limit": "1023M"}, "config.below_floor"),
        ({"memory_budget": "512M"}, "config.below_floor"),
        ({"log_disk_size": "2000M"}, "config.below_floor"),
        ({"datafile_size": "2M"}, "config.below_floor"),
        ({"mysql_port": "80"}, "config.below_floor"),
        ({"rpc_port": "65536"}, "config.invalid"),
        ({"rpc_port": "x"}, "config.invalid"),
        ({"memory_limit": "2048"}, "config.invalid"),
        ({"memory_limit": "-1G"}, "config.invalid"),
        ({"cpu_count": "two"}, "config.invalid"),
        ({"enable_ddl": "maybe"}, "config.invalid"),
        ({"home_path": "relative"}, "config.invalid"),
        ({"mysql_port": "4000", "rpc_port": "4000"}, "config.conflict"),
        ({"datafile_size": "2G", "datafile_maxsize": "1G"}, "config.conflict"),
        ({"home_path": "/a", "data_dir": "/a/store"}, "config.conflict"),
        ({"data_dir": "/a", "redo_dir": "/a"}, "config.conflict"),
        ({"mysql_port": "4001"}, "config.port_taken"),
    ],
)
def test_what_cannot_work_is_refused(settings: dict[str, str], code: str) -> None:
    with pytest.raises(Refused) as raised:
        configure(taken_ports=(4001,), **settings)
    assert raised.value.code == code
    assert next(iter(settings.values())) in str(raised.value)


def test_a_refusal_below_a_floor_says_what_to_give() -> None:
    with pytest.raises(Refused) as raised:
        configure(memory_limit="512M")
    assert str(raised.value) == "memory_limit=512M is below the floor of 1G (seekdb does not start with less memory: give at least 1G)"


@pytest.mark.parametrize(
    ("text", "size"), [("8G", 8 << 30), ("512M", 512 << 20), ("512mb", 512 << 20), ("3T", 3 << 40), ("7B", 7), ("0", 0)]
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert size_bytes("memory_limit", text) == size


def test_ports_are_distinct_free_and_not_promised() -> None:
    first = configure().instance
    second = configure(taken_ports=(first.mysql_port, first.rpc_port)).instance
    assert len({first.mysql_port, first.rpc_port, second.mysql_port, second.rpc_port}) == 4
    with socket.socket() as server:
        server.bind(("0.0.0.0", first.mysql_port))
        server.listen(1)
        assert configure().instance.mysql_port != first.mysql_port


def test_a_given_port_is_not_chosen_for_the_other() -> None:
    first = configure().instance
    assert configure(rpc_port=str(first.mysql_port)).instance.mysql_port != first.mysql_port


def test_homes_that_share_a_host_start_apart() -> None:
    ports = {configure(home=Path(f"/home/{number}")).instance.mysql_port for number in range(8)}
    assert len(ports) == 8


def test_parameters_are_of_one_type_each() -> None:
    kinds = (parameters.OWN, parameters.CAPACITIES, parameters.NUMBERS, parameters.BOOLEANS, parameters.TEXTS)
    assert sum(len(kind) for kind in kinds) == len(frozenset().union(*kinds))
