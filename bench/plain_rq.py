import os

import redis
from rq import Queue, Worker

client = redis.Redis.from_url(os.environ["REDIS_URL"])
Worker([Queue(connection=client)], connection=client).work(logging_level="WARNING")
