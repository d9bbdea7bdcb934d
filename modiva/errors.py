"""The error for what a user can mend: its message names the value and the remedy."""


class ModivaError(ValueError):
    """Bad input: the message says which value, what is allowed and what to do.

    The command line turns it into one line on standard error and exit code 2.
    """
