"""`make bench`: what the service costs, as a ratio to bare Flask + SQLAlchemy in the same run."""
