"""Revisions that can be deployed: `python -m deploy lint-migrations`."""
