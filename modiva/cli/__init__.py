"""The `modiva` command: thin, only wiring."""

import errno
import logging
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import tyro
from tyro.conf import subcommand

from attacks.errors import AttackError
from canaries import CanaryError
from modiva import __version__
from modiva.cli.attack import Attack
from modiva.cli.audit import Audit
from modiva.cli.corpus import CorpusCommand
from modiva.cli.score import Score
from modiva.cli.study import Study
from modiva.cli.train import Train
from modiva.errors import ModivaError

Command = (
    Annotated[Audit, subcommand("audit")]
    | Annotated[Train, subcommand("train")]
    | Annotated[Attack, subcommand("attack")]
    | Annotated[Score, subcommand("score")]
    | Annotated[CorpusCommand, subcommand("corpus")]
    | Annotated[Study, subcommand("study")]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; exit code 0 if it worked, 1 if part of it failed, 2 for bad input."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments == ["--version"]:
        print(f"modiva {__version__}")
        return 0
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        command = tyro.cli(
            Command,
            prog="modiva",
            description="What does this text classifier give away about the people it was "
            "trained on? Plant synthetic secrets, train, invert, measure, show.",
            args=arguments,
            config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes),
        )
        return command.run()
    except BrokenPipeError:
        # The reader of our output left, as head does: that is no error of the input.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ModivaError, CanaryError, AttackError, OSError) as error:
        print(f"modiva: {error}{_remedy(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("modiva: interrupted; what is finished is kept, run again to go on", file=sys.stderr)
        return 130


def _remedy(error: Exception) -> str:
    """What to do about an error of the system that does not say it itself."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "; what is finished is kept: free some space and run the same command again"
    return ""


if __name__ == "__main__":
    sys.exit(main())
