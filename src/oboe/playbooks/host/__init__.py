"""What is done to the agents of other hosts, over SSH."""
