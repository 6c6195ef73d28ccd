"""`make demo`: three agents on one machine, a real cluster, a scale-out; driven through the public HTTP API only."""
