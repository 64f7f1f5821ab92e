"""What is measured: names that are stable, and how their values are read."""
