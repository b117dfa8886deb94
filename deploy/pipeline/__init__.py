"""From a commit to what serves it: one interface over all targets, and what CI calls."""
