"""Where dags, orders and facts are kept: SQLite, the MySQL protocol, and memory for tests. One text for each statement."""
