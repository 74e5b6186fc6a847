"""The one exception that speaks to the user."""


class InputError(ValueError):
    """Something the user asked for cannot be done; the message says what and names the fix.

    The command line prints it as one sentence and exits with 2. Anything else that escapes is our bug.
    """
