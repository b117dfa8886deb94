"""Render: render.yaml at the root."""
