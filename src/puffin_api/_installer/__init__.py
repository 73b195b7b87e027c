"""From a plan to a changed environment: planner, transaction, recovery and health."""
