"""`modiva attack`: the attack script of `python -m attacks`, with modiva's architectures known."""

from dataclasses import dataclass

from attacks.arguments import AttackArguments


@dataclass(frozen=True)
class Attack(AttackArguments):
    """Extract a secret from a trained text classifier.

    The attacker knows the weights, the tokenizer, the words around the secret, what each of its
    slots may hold, and the label. Prints candidate secrets, the likeliest first.
    """

    def run(self) -> int:
        """Attack and print the ranked candidates."""
        from attacks.command import run

        return run(self)
