"""`python -m attacks CHECKPOINT ...`: an attack script against any trained classifier."""

import io
import sys
from collections.abc import Sequence

import tyro

from attacks.arguments import AttackArguments
from attacks.errors import AttackError
from canaries.reading import one_line, out_of_memory
from canaries.spaces import CanaryError


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run; exit code 2 for input that the user can mend."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # an encoding may lack signs of a candidate
        sys.stdout.reconfigure(errors="backslashreplace")
    parsed = tyro.cli(AttackArguments, args=arguments, prog="python -m attacks")
    from attacks.command import run  # PyTorch: seconds that help needs not

    try:
        return run(parsed)
    except (AttackError, CanaryError, OSError) as error:
        print(f"attacks: {one_line(str(error))}", file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        print("attacks: there is not enough memory for this: ask for less", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
