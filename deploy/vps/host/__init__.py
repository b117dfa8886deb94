"""What runs on a server, as `slipway VERB`. Python's standard library alone: it runs on the
system's python3, from the files of the release that it is about."""
