"""Own servers, for real: on systemd servers over SSH."""
