"""Google Cloud Run: a service, two worker pools and a job, for each stage."""
