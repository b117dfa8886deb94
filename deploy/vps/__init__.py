"""Servers of one's own: provisioned over SSH, released to without a failed request."""
