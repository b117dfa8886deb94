"""Why a verb does nothing: one line for who called it."""


class Refused(Exception):
    """Nothing was changed. The message says what was wrong, where, and what to do."""
