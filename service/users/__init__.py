"""Users: accounts, sign-in, and who is signed in."""

from service.users import jobs
from service.users.current import current_user, signed_in
from service.users.demo import seed
from service.users.routes import bp

__all__ = ["bp", "current_user", "jobs", "seed", "signed_in"]
