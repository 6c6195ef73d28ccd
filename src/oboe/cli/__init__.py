"""The command line: a client of an agent's public HTTP API, and the way to start and stop one."""
