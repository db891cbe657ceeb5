"""The one exception a user is meant to read."""


class UserError(ValueError):
    """Bad input: one clear sentence that says what was wrong and what would be accepted."""
