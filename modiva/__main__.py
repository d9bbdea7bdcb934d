"""`python -m modiva` is the `modiva` command."""

import sys

from modiva.cli import main

if __name__ == "__main__":
    sys.exit(main())
