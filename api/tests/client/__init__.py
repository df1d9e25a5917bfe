"""A package, like tests/cli."""
