"""How the manifests of heroku are broken, and what has nothing to say of them."""

from tests.deploy.broken import Broken

BROKEN = [
    Broken("variables", "app.json", '"generator": "secret"', '"value": "written-out"'),
    Broken("variables", "app.json", "heroku-redis:mini", "papertrail:choklad"),
    Broken("variables", "app.json", '"PROXY_HOPS"', '"PROXY_HOP"'),
    Broken("variables", "app.json", '"95s"', '"95"'),
    Broken("variables", "app.json", '"staging"', '"production"'),
    Broken("processes", "Procfile", "service worker", "service clerk"),
    Broken("processes", "Procfile", "service worker", "service worker --no-such-option"),
    Broken("processes", "Procfile", "scheduler: python -m service scheduler\n", ""),
    Broken("processes", "Procfile", "web: python -m service web", "web: flask run"),
    Broken("migration", "Procfile", "release: python -m service migrate\n", ""),
    Broken("time", "app.json", '"95s"', '"75s"'),
    Broken(
        "time",
        "app.json",
        '"PROXY_HOPS": { "value": "1" }',
        '"PROXY_HOPS": { "value": "1" }, "SHUTDOWN_GRACE": { "value": "29s" }',
    ),
    Broken(
        "time",
        "app.json",
        '"PROXY_HOPS": { "value": "1" }',
        '"PROXY_HOPS": { "value": "1" }, "DATABASE_STATEMENT_TIMEOUT": { "value": "40s" }',
    ),
    Broken(
        "proxies", "app.json", '"PROXY_HOPS": { "value": "1" }', '"PROXY_HOPS": { "value": "2" }'
    ),
    Broken("connections", "app.json", '"value": "3"', '"value": "9"'),
    Broken("python", ".python-version", "3.13", "3.12"),
    Broken("deprecated", "app.json", "essential-0", "hobby-dev"),
    Broken("deprecated", "app.json", '"name":', '"stack": "heroku-20", "name":'),
    Broken("collisions", "uv.lock", "", "version = 1"),
    Broken("schema", "app.json", '"formation"', '"formations"'),
]
SILENT = {
    "health": "it does not ask",
    "port": "it sets PORT, and its manifest names none",
}
