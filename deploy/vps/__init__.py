"""Servers of one's own: provisioned, released to and rolled back without one failed request."""
