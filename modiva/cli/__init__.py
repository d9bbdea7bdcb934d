"""The `modiva` command: thin, only wiring."""

import errno
import logging
import operator
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import make_dataclass
from functools import reduce
from importlib import import_module
from types import MappingProxyType
from typing import Annotated, Any, get_args, get_type_hints

import tyro
from tyro.conf import subcommand

from attacks import AttackError
from canaries import CanaryError
from canaries.reading import one_line, out_of_memory, quote
from canaries.spaces import suggest
from modiva.cli.terminal import OneLine, escaped_output, prepare_output
from modiva.errors import ModivaError
from modiva.version import __version__

__all__ = ["main"]

# Module and class of each command, and the first line of its docstring: only the one that is asked
# for is imported, and none for the list of them all.
COMMANDS: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {
        "audit": (
            "modiva.cli.audit",
            "Audit",
            "Plant secrets, train targets with and without defenses, attack them, report what "
            "came out.",
        ),
        "train": (
            "modiva.cli.train",
            "Train",
            "Train one classifier and write a Hugging Face checkpoint folder with training.json.",
        ),
        "attack": (
            "modiva.cli.attack",
            "Attack",
            "Extract a secret from a trained text classifier.",
        ),
        "expose": (
            "modiva.cli.expose",
            "Expose",
            "Say which secrets that stand in training data anyway a classifier gives away.",
        ),
        "groups": (
            "modiva.cli.groups",
            "Groups",
            "Say what protections cost groups of test sentences, on targets that are there.",
        ),
        "membership": (
            "modiva.cli.membership",
            "Membership",
            "Say whether a classifier tells the sentences that it was trained on from others.",
        ),
        "score": (
            "modiva.cli.score",
            "Score",
            "Score the output of `modiva attack --json`, against a ledger or a secret that you "
            "know.",
        ),
        "corpus": ("modiva.cli.corpus", "CorpusCommand", "List, show or fetch corpora."),
        "privatize": (
            "modiva.cli.privatize",
            "Privatize",
            "Rewrite every sentence of a corpus with noise, so that it can be given away.",
        ),
        "autoencoder": (
            "modiva.cli.privatize",
            "TrainAutoencoder",
            "Train the autoencoder of ADePT on a public corpus.",
        ),
        "ranker": (
            "modiva.cli.ranker",
            "RankerCommand",
            "Rankers: candidates ordered by all that the weights say of them.",
        ),
        "study": (
            "modiva.cli.study",
            "StudyCommand",
            "Run grids that stand in files, say how far they are, and write what came of them.",
        ),
        "privacy": (
            "modiva.cli.privacy",
            "PrivacyCommand",
            "Say what DP-SGD allows any attack to reach, before or without training.",
        ),
    }
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; exit code 0 if it worked, 1 if part of it failed, 2 for bad input."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    prepare_output()
    if arguments == ["--version"]:
        print(f"modiva {__version__}")
        return 0
    log = logging.StreamHandler()
    log.setFormatter(OneLine("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[log])
    try:
        _check_text(arguments)
        command = _parse(arguments)
        with escaped_output():
            code: int = command.run()
        return code
    except BrokenPipeError:
        # The reader of our output left, as head does: that is no error of the input.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ModivaError, CanaryError, AttackError, OSError) as error:
        print(f"modiva: {one_line(str(error))}{_remedy(error)}", file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        print(
            "modiva: there is not enough memory for this; what is finished is kept: ask for less "
            "at a time, such as fewer restarts, workers or sentences",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("modiva: interrupted; what is finished is kept, run again to go on", file=sys.stderr)
        return 130


def _check_text(arguments: list[str]) -> None:
    """Raise on a name that is not UTF-8, which no JSON file of a result could hold."""
    for argument in arguments:
        if any("\ud800" <= character <= "\udfff" for character in argument):
            raise ModivaError(
                f"{quote(argument)} is not UTF-8: rename the file, or link it under another name"
            )


def _parse(arguments: list[str]) -> Any:
    """Return the command that the arguments describe."""
    config = (tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes)
    if arguments and not arguments[0].startswith("-"):
        name, *rest = arguments
        _known("command", name, COMMANDS)
        if rest and not rest[0].startswith("-") and (actions := _actions(_command(name))):
            _known(f"{name} command", rest[0], actions)
        return tyro.cli(_command(name), prog=f"modiva {name}", args=rest, config=config)
    listed = arguments in ([], ["-h"], ["--help"])  # the list of commands, and none of them
    kinds = [
        Annotated[
            make_dataclass(name, ()) if listed else _command(name),
            subcommand(name, description=summary),
        ]
        for name, (_, _, summary) in COMMANDS.items()
    ]
    union: Any = reduce(operator.or_, kinds)
    return tyro.cli(
        union,
        prog="modiva",
        description="What does this text classifier give away about the people it was "
        "trained on? Plant synthetic secrets, train, invert, measure, show.\n\n"
        "--version prints the version; --tyro-print-completion bash (or zsh, tcsh) prints "
        "completion for the shell.",
        args=arguments,
        config=config,
    )


def _command(name: str) -> Any:
    module, kind, _ = COMMANDS[name]
    return getattr(import_module(module), kind)


def _actions(command: Any) -> list[str]:
    """Return names of what a command can do, for one that has commands of its own."""
    union = get_type_hints(command, include_extras=True).get("action")
    return [kind.__metadata__[0].name for kind in get_args(union)]


def _known(kind: str, name: str, names: Collection[str]) -> None:
    if name not in names:
        raise ModivaError(
            f"unknown {kind} {name!r}{suggest(name, names)}: use one of {', '.join(names)}"
        )


def _remedy(error: Exception) -> str:
    """Return what to do about an error of the system that does not say it itself."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "; what is finished is kept: free some space and run the same command again"
    return ""


if __name__ == "__main__":
    sys.exit(main())
