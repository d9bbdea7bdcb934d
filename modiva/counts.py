"""Numbers of things in words."""

# Bars of a study, and of writing its results after it, for tqdm.
BAR = "{desc} {n_fmt}/{total_fmt} |{bar}| {elapsed}{postfix}"


def count(number: float) -> str:
    """Return a whole number with its thousands apart."""
    return f"{round(number):,}"


def plural(number: int, noun: str, several: str | None = None) -> str:
    """Return "1 model", "20 models"; `several` is the noun's plural where no s makes it."""
    return f"{count(number)} {noun if number == 1 else several or noun + 's'}"
