"""Uploads: files that clients send to and fetch from S3 themselves."""

from service.uploads.routes import bp

__all__ = ["bp"]
