"""How the manifests of fly are broken, and what has nothing to say of them."""

from tests.deploy.broken import Broken

BROKEN = [
    Broken("variables", "fly.toml", "DATABASE_URL REDIS_URL JWT_SECRET", "DATABASE_URL JWT_SECRET"),
    Broken("variables", "fly.toml", "[env]\n", '[env]\nJWT_SECRET = "written-out"\n'),
    Broken("variables", "fly.toml", "DATABASE_POOL_MAX", "DATABASE_POOL_MOST"),
    Broken("processes", "fly.toml", "service scheduler", "service clock"),
    Broken("health", "fly.toml", "/health/ready", "/"),
    Broken("port", "fly.toml", "internal_port = 8000", "internal_port = 8080"),
    Broken("migration", "fly.toml", "release_command =", "seed_command ="),
    Broken("time", "fly.toml", 'kill_signal = "SIGTERM"', 'kill_signal = "SIGINT"'),
    Broken("time", "fly.toml", 'kill_signal = "SIGTERM"', ""),
    Broken("time", "fly.toml", "kill_timeout = 60", "kill_timeout = 10"),
    Broken("time", "deploy/fly/fly.staging.toml", "kill_timeout = 60", "kill_timeout = 600"),
    Broken("proxies", "fly.toml", 'PROXY_HOPS = "2"', 'PROXY_HOPS = "1"'),
    Broken("collisions", "Dockerfile", "", ""),
    Broken("connections", "fly.toml", "min_machines_running = 2", "min_machines_running = 9"),
    Broken("schema", "fly.toml", 'strategy = "bluegreen"', 'strategy = "teal"'),
]
SILENT = {
    "python": "it builds the Dockerfile",
    "deprecated": "no form of ours is",
}
