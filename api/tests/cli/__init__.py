"""A package, so that its conftest and its modules may have the names that others have."""
