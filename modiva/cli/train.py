"""`modiva train`: one target classifier, with or without canaries and defenses."""

import dataclasses
import math
import secrets
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from modiva.condition import NONE, Condition, Size, private_by
from modiva.corpora import choose_columns
from modiva.errors import ModivaError
from modiva.files import atomic_folder, write_text
from modiva.handling import SEEN, Federated, Seen
from modiva.studies import settings
from modiva.validate import require

if TYPE_CHECKING:
    from canaries import Ledger
    from modiva.training import Target

_SECRET_SEED = (
    "secret and not kept: batches and noise cannot be drawn again (secrets and first weights are "
    "those of seed 0)"
)
_PUBLIC_SEED = (
    "{} was given: whoever knows it can compute the noise, and epsilon does not hold against them; "
    "leave out --seed for what you release"
)


def _holds(path: Path, text: str) -> bool:
    try:
        return path.read_text(encoding="utf-8") == text
    except ValueError:
        return False


@contextmanager
def _kept(files: Mapping[Path, str], made: Path) -> Iterator[None]:
    """Write files; where the block does not make `made`, those that were not there before go."""
    new = [path for path in files if not path.exists()]
    try:
        for path, text in files.items():
            write_text(path, text)
        yield
    except BaseException:
        for path in new if not made.exists() else ():
            path.unlink(missing_ok=True)
        raise


def _write_views(target: "Target", ledger: "Ledger", seen: Seen, folder: Path) -> None:
    """Write the models before and after each step of the rounds that an attacker sees."""
    from modiva.classifiers import Classifier

    with atomic_folder(folder) as temporary:
        for canary in ledger.canaries:
            for number, models in enumerate(target.views(canary.id, seen), start=1):
                for name, model in zip(("before", "after"), models, strict=True):
                    step = temporary / canary.id / str(number) / name
                    step.mkdir(parents=True)
                    Classifier(model, target.classifier.tokenizer).write_into(step)


@dataclass(frozen=True)
class Train:
    """Train one classifier and write a Hugging Face checkpoint folder with training.json.

    With --pattern, secrets are planted in the training split; what was planted goes to a ledger
    file BESIDE the folder (OUT.ledger.json), which only `modiva score` reads; what an attacker
    knows of it goes to OUT.questions.json. Of federated training, --seen writes what an attacker
    sees besides the final model: OUT.update/CANARY/1/before and after, and so on.
    """

    trained: Annotated[settings.Trained, tyro.conf.arg(name="training")]
    out: Path
    """The checkpoint folder to write; must not exist yet."""
    corpus: str = "home-assistant"
    """A name from `modiva corpus list`, or a file or folder."""
    text_column: str | None = None
    """Name or number of the column of texts, where a file of your own has several."""
    label_column: str | None = None
    """Name or number of the column of intents."""
    target: str = "cnn"
    """cnn, lstm, lstm-char, transformer, minilm, or a Hugging Face folder or name."""
    size: Size = "full"
    """Of our own architectures: embeddings and hidden 32 (small) or 100 (full)."""
    pattern: tuple[str, ...] = ()
    """Patterns to plant, such as call, pin:6, or a template 'my code is {digit*4}'."""
    patterns_file: Path | None = None
    """YAML file of own patterns and word lists."""
    repetitions: int = 10
    """How often each canary stands in the training split."""
    label: str = "random"
    """The canaries' intent: random, new, or a given one."""
    secrets: int = 1
    """Secrets of every pattern to plant."""
    controls: int = 5
    """Secrets drawn with each planted one and never planted."""
    share_valid: bool = False
    """Plant the same share in the validation split too."""
    privatize: str = "none"
    """How every sentence is rewritten before training: none, or such as tem:12, adept:50."""
    word_space: str = "minilm"
    """Words and vectors of mechanisms of words: minilm, or a text file in GloVe format."""
    autoencoder: Path | None = None
    """Of adept and adept-published: a folder of `modiva autoencoder`, from another corpus."""
    defense: str = "none"
    """none, dropout, early-stopping, char-embeddings, dp, edp, loop, or several joined with +; of
    pretrained targets also head-only, last-layers, lora and all-layers."""
    noise: float | None = None
    """Noise multiplier of private training; 0 is ordinary training."""
    epsilon: float | None = None
    """Privacy budget per example; the noise multiplier is calibrated to it."""
    delta: float | None = None
    """The delta of epsilon; 1e-5 if not given."""
    sentences: int = 0
    """Train on at most so many sentences, drawn by the seed; 0 is the whole split."""
    epochs: int | None = None
    """At most so many epochs; the default depends on target and defense."""
    word_vectors: str | None = None
    """GloVe-format text file for the embeddings of our own architectures."""
    freeze_embeddings: bool = False
    """Keep the embeddings as they are; private training then spends no noise on them."""
    seed: int | None = None
    """Decides secrets, weights, batches and noise; 0 if not given. Private training and text
    protection then draw from a secret seed: epsilon does not hold against those who know it."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """bfloat16 trains pretrained targets faster, on CUDA and on processors that have instructions
    for it; not for private training."""

    def run(self) -> int:
        """Train, save, and print what came of it."""
        from modiva.studies import check_planting
        from modiva.training import prepare, save_checkpoint

        if self.out.exists():
            raise ModivaError(f"--out {self.out}: {self.out} exists; name another or remove it")
        condition = self.condition()
        folders = self._view_folders(condition)
        prepared = prepare(condition, device=self.device)
        prepared.check_training()
        check_planting(prepared)
        beside = self._beside(prepared.plant(self.seed or 0).ledger)
        config = dataclasses.replace(prepared.config, precision=self.precision)
        prepared = dataclasses.replace(prepared, config=config)
        secret = self.seed is None and _is_private(condition)
        ((target, ledger),) = prepared.train(
            [self.seed or 0],
            training_seeds=[secrets.randbits(128)] if secret else None,
            progress=True,
        )
        with _kept(beside, self.out):  # the checkpoint comes last: once it is there, all is
            for seen, folder in folders.items():
                _write_views(target, ledger, seen, folder)
            save_checkpoint(
                self.out,
                target,
                prepared=prepared,
                command=shlex.join(["modiva", *sys.argv[1:]]),
                seed_is_secret=secret,
            )
        for path in beside:
            print(f"{path.suffixes[-2][1:]:<11} {path}")
        for seen, folder in folders.items():
            print(f"{seen:<11} {folder}: before and after each step, for --initial of an attack")
        self._say(target, condition, secret)
        return 0

    def _view_folders(self, condition: Condition) -> dict[Seen, Path]:
        """Return the folders for what an attacker sees besides the final model.

        Raises:
            ModivaError: training without rounds or canaries, an unknown view, or a folder that
                is there.
        """
        folders: dict[Seen, Path] = {}
        for name in self.trained.seen:
            seen: Any = name
            require(seen in SEEN, "--seen", seen, f"one of {', '.join(SEEN)}")
            if seen == "final":
                continue
            if not isinstance(condition.training, Federated) or not self.pattern:
                raise ModivaError(
                    f"--seen {seen}: only federated training with a --pattern has rounds to look "
                    "into; give --training fedavg and --pattern pin, or leave --seen out"
                )
            folders[seen] = self.out.parent / f"{self.out.name}.{seen}"
            if folders[seen].exists():
                raise ModivaError(f"--out {self.out}: {folders[seen]} exists; name another --out")
        return folders

    def _beside(self, ledger: "Ledger") -> dict[Path, str]:
        """Return the files that go beside the checkpoint with their content.

        Raises:
            ModivaError: one is there with another content; a training that was killed left equal
                ones, since they follow from the same flags.
        """
        from canaries.questions import save_questions

        if not ledger.canaries:
            return {}
        texts = {}
        with tempfile.TemporaryDirectory() as name:
            for kind in ("ledger", "questions"):
                file = Path(name) / kind
                if kind == "ledger":
                    ledger.save(file)
                else:
                    save_questions(file, ledger.questions)
                path = self.out.parent / f"{self.out.name}.{kind}.json"
                texts[path] = file.read_text(encoding="utf-8")
        for path, text in texts.items():
            if path.exists() and not _holds(path, text):
                raise ModivaError(f"--out {self.out}: {path} exists; name another or remove it")
        return texts

    def _say(self, target: "Target", condition: Condition, secret: bool) -> None:
        """Print what came of the training."""
        result = target.result
        from modiva.privacy import PrivacyPlan

        print(f"checkpoint  {self.out}")
        print(
            f"accuracy    {result.test_accuracy:.3f} on test "
            f"(majority class {result.majority_accuracy:.3f})"
        )
        if result.epsilon is not None and result.plan is not None:
            for copies in sorted({one for one in condition.copies if one > 1}):
                group = PrivacyPlan.read(result.plan).group_epsilon(copies)
                bound = f"{group:.3g}" if math.isfinite(group) else "no bound"
                print(f"epsilon     {bound} for a secret in {copies} sentences")
            one = "device" if isinstance(condition.training, Federated) else "sentence"
            print(f"epsilon     {result.epsilon:.3g} for one {one}, delta {result.delta:g}")
        if target.words_kept is not None:
            print(f"text        {condition.privatize}, {target.words_kept:.0%} of words kept")
        if _is_private(condition):
            print(f"seed        {_SECRET_SEED if secret else _PUBLIC_SEED.format(self.seed)}")

    def condition(self) -> Condition:
        """Return the condition that the flags describe: noise or epsilon make training private."""
        defense, privacy = private_by(
            self.defense, noise=self.noise, epsilon=self.epsilon, delta=self.delta
        )
        trainings = list(self.trained.trainings())
        if len(trainings) != 1:
            raise ModivaError(
                f"{len(trainings)} ways of training: one target has one; give one value of each "
                "flag, or compare them with modiva audit"
            )
        return Condition(
            corpus=choose_columns(self.corpus, self.text_column, self.label_column),
            target=self.target,
            size=self.size,
            patterns=self.pattern,
            repetitions=(self.repetitions,),
            label=self.label,
            secrets=self.secrets,
            controls=self.controls,
            share_valid=self.share_valid,
            privatize=self.privatize,
            word_space=self.word_space,
            autoencoder=None if self.autoencoder is None else str(self.autoencoder),
            patterns_file=None if self.patterns_file is None else str(self.patterns_file),
            sentences=self.sentences,
            defense=defense,
            privacy=privacy,
            epochs=self.epochs,
            word_vectors=self.word_vectors,
            freeze_embeddings=self.freeze_embeddings,
            training=trainings[0],
        )


def _is_private(condition: Condition) -> bool:
    """Return whether the training draws noise that must stay unknown."""
    return condition.privacy is not None or condition.privatize != NONE
