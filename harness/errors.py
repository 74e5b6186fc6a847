"""The exceptions that speak to the user. Anything else that escapes is our bug and keeps its traceback."""


class InputError(ValueError):
    """Something the user asked for cannot be done; the message says what and names the fix. Exit code 2."""


class RunError(RuntimeError):
    """A run that started could not be finished as asked; the message says why and what to do. Exit code 1."""
