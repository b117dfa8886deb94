"""Widgets of users: each sees and changes their own."""

from starter.widgets.routes import bp

__all__ = ["bp"]
