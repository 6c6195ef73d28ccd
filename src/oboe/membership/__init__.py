"""What this agent is and whom it belongs to: its identity, its cluster, the way to the cluster's home."""
