"""Releases on one host with Docker, blue and green behind nginx: `python -m deploy docker …`."""
