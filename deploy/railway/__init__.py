"""Railway: its own description of a project, .railway/railway.py, and what it says."""
