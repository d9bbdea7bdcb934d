"""Models of one architecture side by side under vmap are the models one by one."""

import torch
from torch.func import functional_call, stack_module_state, vmap

from modiva.classifiers import TargetSpec


def stack(models):
    """Stack models, and give a function of one of them: weights and data to logits and loss."""
    parameters, buffers = stack_module_state(models)

    def run(parameters, buffers, ids, mask, labels):
        inputs = {"input_ids": ids, "attention_mask": mask, "labels": labels}
        output = functional_call(models[0], (parameters, buffers), (), inputs)
        return output.logits, output.loss

    return parameters, buffers, run


def test_stacked_logits_and_gradients_are_those_of_each_model(spec, make, draw):
    models = [make(spec, seed).model for seed in range(3)]
    size = models[0].config.vocab_size
    ids = torch.stack([draw(size, [3, 5, 1, 4], 5, seed) for seed in range(3)])  # (M, B, T)
    labels = torch.tensor([[0, 1, 2, 3], [4, 0, 0, 1], [1, 1, 1, 1]])
    parameters, buffers, run = stack(models)
    logits, losses = vmap(run)(parameters, buffers, ids, ids.ne(0), labels)
    losses.sum().backward()
    for m, model in enumerate(models):
        output = model(input_ids=ids[m], labels=labels[m])
        output.loss.backward()
        torch.testing.assert_close(logits[m], output.logits, atol=1e-5, rtol=1e-5)
        for name, parameter in model.named_parameters():
            stacked = parameters[name].grad[m]
            torch.testing.assert_close(stacked, parameter.grad, atol=1e-5, rtol=1e-4, msg=name)


def test_stacked_models_can_share_their_data(spec, make, draw):
    models = [make(spec, seed).model for seed in range(2)]
    ids, labels = draw(models[0].config.vocab_size, [3, 2], 3), torch.tensor([0, 1])
    parameters, buffers, run = stack(models)
    logits, _ = vmap(run, (0, 0, None, None, None))(parameters, buffers, ids, ids.ne(0), labels)
    torch.testing.assert_close(logits, torch.stack([m(input_ids=ids).logits for m in models]))


def test_every_stacked_model_draws_its_own_dropout(make, draw):
    for architecture in ("cnn", "lstm", "transformer"):
        spec = TargetSpec(architecture, 6, 8, 1, True, "max", 0.3, 0.3, 0.3)
        models = [make(spec, 0).model.train() for _ in range(2)]  # twice the same weights
        ids = draw(models[0].config.vocab_size, [4, 3], 4).expand(2, 2, 4)
        parameters, buffers, run = stack(models)
        mapped = vmap(run, randomness="different")
        labels = torch.zeros(2, 2, dtype=torch.long)
        logits, _ = mapped(parameters, buffers, ids, ids.ne(0), labels)
        assert not torch.allclose(logits[0], logits[1])
