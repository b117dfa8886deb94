"""`python -m deploy vps provision`: an empty server becomes a home for the service; run again, it
changes what differs. Imports pyinfra, which costs half a second."""

from deploy.vps.provision.run import provision

__all__ = ["provision"]
