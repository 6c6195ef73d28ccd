"""What runs: it loads dags, advances them, saves the difference, and carries out the effects."""
