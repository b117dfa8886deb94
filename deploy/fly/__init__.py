"""Fly.io: fly.toml at the root, fly.staging.toml here."""
