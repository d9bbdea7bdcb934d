"""nanoGCG's optimisation loop on the loss of a classifier: its candidates are a slot's options."""

import logging
import time
from dataclasses import dataclass
from unittest import mock

import torch
from nanogcg.gcg import GCG, GCGConfig
from torch import Tensor

from attacks.objectives import OBJECTIVES
from attacks.problem import Completion, problem_generators
from modiva.classifiers import Classifier

logging.getLogger("nanogcg").setLevel(logging.ERROR)
SEARCH_WIDTH = 32  # candidates scored a step; the default of 512 leaves one step at our budgets
GRADIENT_COST = 3


class ClassifierGCG(GCG):
    """GCG with the classifier's cross-entropy in the place of a language model's.

    The loop, the sampling of swaps and the buffer are nanoGCG's; only its two functions that
    compute a loss are replaced. The secret must end the sentence, and its slots share their
    options, each one token.
    """

    def __init__(self, classifier: Classifier, problem: Completion, config: GCGConfig) -> None:
        super().__init__(classifier.model, classifier.tokenizer, config)
        allowed = problem.candidates[0].flatten()
        every = torch.arange(self.embedding_layer.num_embeddings)
        self.not_allowed_ids = every[~torch.isin(every, allowed)]
        self.label = problem.label
        self.evaluations = 0

    def _losses(self, vectors: Tensor) -> Tensor:
        words = vectors[:, : vectors.shape[1] - self.target_embeds.shape[1]]
        logits = self.model(inputs_embeds=words).logits
        return OBJECTIVES["loss"].score(logits, torch.full((len(logits),), self.label))

    def compute_token_gradient(self, optim_ids: Tensor) -> Tensor:
        """The gradient (1, n, V) with respect to one-hot tokens; counts three evaluations."""
        table = self.embedding_layer.weight.detach()
        hot = torch.nn.functional.one_hot(optim_ids, len(table)).to(table).requires_grad_()
        vectors = torch.cat([self.before_embeds, hot @ table, self.target_embeds], dim=1)
        (gradient,) = torch.autograd.grad(self._losses(vectors).sum(), hot)
        self.evaluations += GRADIENT_COST
        return gradient

    def _compute_candidates_loss_original(self, search_batch_size: int, vectors: Tensor) -> Tensor:
        self.evaluations += len(vectors)
        with torch.no_grad():
            return self._losses(vectors)


@dataclass(frozen=True)
class GcgFound:
    """The lowest loss it met, and what it took."""

    score: float
    evaluations: int
    seconds: float


def run_nanogcg(
    classifier: Classifier, problem: Completion, evaluations: int, seed: int
) -> GcgFound:
    """Run nanoGCG from one random start with at most this many evaluations, at least one step."""
    (generator,) = problem_generators([problem], seed)
    start = " ".join(
        options[int(torch.randint(len(options), (), generator=generator))]
        for options in problem.options
    )
    config = GCGConfig(
        num_steps=max(1, (evaluations - 1) // (SEARCH_WIDTH + GRADIENT_COST)),
        optim_str_init=start,
        search_width=SEARCH_WIDTH,
        topk=min(256, len(problem.options[0])),
        use_prefix_cache=False,
        allow_non_ascii=True,
        filter_ids=False,
        seed=seed,
    )
    prefix = "".join(part for part in problem.parts if isinstance(part, str)).strip()
    began = time.process_time()
    with (
        torch.random.fork_rng(),
        mock.patch("nanogcg.gcg.tqdm", lambda steps: steps),
        mock.patch("torch.use_deterministic_algorithms"),
        mock.patch("nanogcg.utils.gc.collect"),  # at every step: most of the time of a small model
    ):
        attack = ClassifierGCG(classifier, problem, config)
        result = attack.run(prefix + " ", "x")
    return GcgFound(result.best_loss, attack.evaluations, time.process_time() - began)
