"""The attack command: one checkpoint, one sentence with slots, ranked candidates on the screen."""

from transformers.utils import logging

from attacks.arguments import AttackArguments
from attacks.checkpoint import load_checkpoint, load_initial
from attacks.extraction import Extractor
from canaries.reading import json_text, shown


def run(arguments: AttackArguments) -> int:
    """Attack one checkpoint and print the ranked candidates; returns the exit code 0.

    Raises:
        AttackError, CanaryError, OSError: input that the user can mend.
    """
    extractor = Extractor(arguments)
    logging.disable_progress_bar()  # loading takes a moment; the search has a bar of its own
    model, tokenizer = load_checkpoint(arguments.checkpoint, device=arguments.device)
    found = extractor.run(
        model,
        tokenizer,
        initial=load_initial(arguments.initial, model) if arguments.initial else None,
        reference=load_checkpoint(arguments.reference, device=arguments.device)
        if arguments.reference
        else None,
        progress=not arguments.json,
    )
    print(json_text(found.as_dict()) if arguments.json else shown(found.as_table()))
    return 0
