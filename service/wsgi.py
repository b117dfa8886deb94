"""The entry point of web: `gunicorn service.wsgi:app`."""

from service.app import create_app

app = create_app()
