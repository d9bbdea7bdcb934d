"""The error for what a user of an attack can mend."""


class AttackError(ValueError):
    """Bad input to an attack: the message says which value and what to use instead."""
