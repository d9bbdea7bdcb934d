"""What the attack command takes; importing this loads no PyTorch, so that help is quick."""

from dataclasses import dataclass

import tyro


@dataclass(frozen=True)
class AttackArguments:
    """Extract a secret from a trained text classifier.

    The attacker knows the weights, the tokenizer, the words around the secret, what each of its
    slots may hold, and the label. Prints candidate secrets, the likeliest first.
    """

    checkpoint: tyro.conf.Positional[str]
    """Folder (or Hugging Face hub name) of a sequence classifier with safetensors weights."""
    label: str
    """The class of the sentence that holds the secret: a name or an index; name:5 and index:5 tell
    the two apart where names are numbers."""
    template: str | None = None
    """The sentence as people write it, with slots in braces: 'my card pin is {digit*4:glued}',
    'mail {first-name}{digit*2:glued}@{word}.com', 'paint it {red|green|blue}'; or the name of a
    pattern, such as pin-glued. {digit*4} has spaces between the digits."""
    slots: str = ""
    """In place of --template: what the secret consists of, with spaces between: "digit*4", "color",
    "month digit*2", "word*3", "[0,1,2,3]*4", ..."""
    prefix: str = ""
    """With --slots: known words before the secret."""
    suffix: str = ""
    """With --slots: known words after the secret."""
    patterns_file: str | None = None
    """YAML with patterns and word lists of your own."""
    attack: str | None = None
    """By default exhaustive of up to 20,000 candidates, or traced where slots share tokens and the
    embedding table tells which tokens training met, and coordinate of more; or coordinate,
    exhaustive, relaxed, gumbel, beam, random; a paper's: parikh2022, elmahdy2022,
    gbda2021, gcg2023; or one that ranks: contrast, standardised, alignment, rows, movement,
    movement-gain, match, traced, traced-initial, ranker, ranker-initial."""
    ranker: str | None = None
    """Folder of a ranker (`modiva ranker fit`); chooses the attack that it is for."""
    initial: str | None = None
    """Checkpoint that the target was fine-tuned from, for attacks that use the first weights, and
    for the verdict: what training moved is evidence."""
    reference: str | None = None
    """Checkpoint of the same classes and tokenizer that was trained without the secret: the verdict
    takes its evidence off."""
    decoys: int = 200
    """Other labels and prefixes that the verdict compares with, at least 20."""
    verdict: bool = True
    """End in a verdict: does the best candidate stand out?"""
    objective: str | None = None
    """loss, margin or hinge; the attack's own by default."""
    set: tuple[str, ...] = ()
    """Settings of the search, such as restarts=32."""
    top: int = 10
    """Candidates printed (100 are kept at most)."""
    json: bool = False
    """Print JSON instead of a table."""
    device: str = "auto"
    """auto, cpu or cuda."""
    seed: int = 0
    """Of every random draw."""
