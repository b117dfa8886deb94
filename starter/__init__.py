"""The starter: what makes a clone of the template one's own, and takes the template's later fixes.

Run by `make rename`, `feature`, `remove-sample`, `target-remove` and `update`. It changes the code,
so it imports none of it. Each verb is one commit, or nothing.
"""
