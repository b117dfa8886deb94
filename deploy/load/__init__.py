"""`python -m deploy load URL`: how much a service bears, and when it needs more."""
