"""Posts, the sample: copy this folder to a noun of your own, then delete it."""

from service.posts import jobs
from service.posts.demo import seed
from service.posts.routes import bp

__all__ = ["bp", "jobs", "seed"]
