"""How the manifests of heroku are broken."""

from tests.deploy.broken import Broken

PYTHON_WEB = "python -m service web"
NO_VERIFY = (
    '"REDIS_TLS_VERIFY": { "value": "false", "description": "Its certificate is self-signed." },'
)
VERIFY = '"REDIS_TLS_VERIFY": { "value": "true" }'
SCHEDULER = """,
    "scheduler": { "quantity": 1, "size": "basic" }"""
FEW = '{ "web": { "quantity": 2 }, "worker": { "quantity": 1 } }'
ECO = """{ "web": { "quantity": 1, "size": "Eco" }, "worker": { "quantity": 1 },
    "scheduler": { "quantity": 1 } }"""
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
    Broken("variables", "app.json", '"quantity": 1', '"quantity": "many"'),
    Broken("variables", "app.json", '"quantity": 1', '"quantity": 1.5'),
    Broken("variables", "app.json", '"quantity": 1', '"quantity": true'),
    Broken("variables", "app.json", '"quantity": 1', '"quantity": -1'),
    Broken("variables", ".python-version", "3.13", "latest"),
    Broken("variables", ".python-version", "3.13", "3.13\n3.12"),
    Broken("variables", ".python-version", "3.13", "# none"),
    Broken("variables", "app.json", '"heroku-redis:mini"]', '"papertrail:choklad"]'),
    Broken("variables", "app.json", ', "heroku-redis:mini"]', "]"),
    Broken("variables", "app.json", '["heroku-postgresql:essential-0", "heroku-redis:mini"]', "[]"),
    Broken("variables", "app.json", 'redis:mini" }', 'redis:mini", "as": "CACHE" }'),
    Broken("variables", "app.json", 'essential-0" }', 'essential-0", "as": "OTHER" }'),
    Broken("variables", "app.json", '{ "APP_ENV": { "value": "staging" } }', "{}"),
    Broken("variables", "app.json", NO_VERIFY, '"SENTRY_DSN": "https://key@sentry.example.com",'),
    Broken("variables", "app.json", '{ "value": "staging" }', "{}"),
    Broken("processes", "app.json", '"review"', '"revue"'),
    Broken("processes", "app.json", '"environments"', '"environment"'),
    Broken("processes", "Procfile", "service migrate", "service migrate --help"),
    Broken("processes", "Procfile", "service web", "service web -h"),
    Broken("processes", "Procfile", PYTHON_WEB, "gunicorn --bind 127.0.0.1:80 service.wsgi:app"),
    Broken("processes", "Procfile", PYTHON_WEB, "gunicorn service.wsgi:app --timeout 30"),
    Broken("references", "app.json", NO_VERIFY, ""),
    Broken("references", "app.json", 'VERIFY": { "value": "false"', 'VERIFY": { "value": "true"'),
    Broken("references", "app.json", '"value": "staging" }', f'"value": "staging" }}, {VERIFY}'),
    *(
        Broken("release", "app.json", f'"{kind}": {{ "quantity": 1', f'"{kind}": {{ "quantity": 0')
        for kind in ("web", "worker", "scheduler")
    ),
    Broken("release", "app.json", '"worker": { "quantity": 1', '"clerk": { "quantity": 1'),
    Broken("release", "app.json", '"worker": { "quantity": 1', '"worker": { "quantity": "0"'),
    Broken("release", "app.json", '"worker": { "quantity": 1, ', '"worker": { '),
    Broken("release", "app.json", SCHEDULER, ""),
    Broken("release", "app.json", '"formation"', '"formations"'),
    Broken("release", "app.json", '"review": {', '"review": { "formation": {},'),
    Broken("release", "app.json", '"review": {', f'"review": {{ "formation": {FEW},'),
    Broken("release", "app.json", '"size": "basic"', '"size": "eco"'),
    Broken("release", "app.json", '"review": {', f'"review": {{ "formation": {ECO},'),
    Broken("connections", "app.json", '"worker": { "quantity": 1', '"worker": { "quantity": "9"'),
    Broken("python", ".python-version", "3.13", "# ours\n3.12.5"),
    Broken("python", "Dockerfile", "ARG PYTHON_IMAGE=python:3.13", "ARG PYTHON_IMAGE=python:3.12"),
    Broken("python", "Dockerfile", "ARG PYTHON_IMAGE", "ARG IMAGE"),
    Broken("python", "Dockerfile", "", ""),
    Broken(
        "deprecated",
        "app.json",
        '["heroku-postgresql:essential-0"',
        '["heroku-postgresql:hobby-dev"',
    ),
]
