"""The cluster's store: tables in a database of the managed cluster, over the MySQL protocol."""

from oboe.store.audit import Audit
from oboe.store.mysql.connection import Mysql
from oboe.store.mysql.directory import Directory
from oboe.store.mysql.home import MysqlHome
from oboe.store.mysql.lease import ID_JUMP, Lease, Sight
from oboe.store.mysql.schema import create_schema

__all__ = ["ID_JUMP", "Audit", "Directory", "Lease", "Mysql", "MysqlHome", "Sight", "create_schema"]
