"""Jobs: what an enqueue costs the request, and how fast no-op jobs run here and elsewhere."""
