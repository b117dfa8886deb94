"""Heroku: Procfile, app.json and .python-version at the root."""
