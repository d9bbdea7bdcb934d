"""Local training and the server: the naive formula beside the fast one."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from modiva.handling import Federated
from modiva.training.batches import encode_split
from modiva.training.config import TrainConfig
from modiva.training.federated.clients import LocalTraining
from modiva.training.federated.server import TAU, ServerOptimizer

from ..conftest import make_classifier, make_splits

CONFIG = TrainConfig(epochs=1, batch_size=16, learning_rate=0.3, device="cpu")


def prepared(architecture="cnn", config=CONFIG, n=60, **settings):
    data = make_splits(n)
    classifier = make_classifier(data, architecture)
    split = encode_split(classifier, data.train)
    return LocalTraining(classifier.model, split, config, seed=3, **settings)


def all_updates(local, members):
    """Update of each client by name of the weight, and the number of steps of all."""
    found, steps = {}, 0
    for updates in local.updates(1, members):
        steps += updates.steps
        for row, client in enumerate(updates.clients):
            found[client] = {name: value[row] for name, value in updates.weights.items()}
    return found, steps


def parts(n, *sizes):
    return dict(enumerate(torch.arange(n).split(sizes)))


@pytest.mark.parametrize("architecture", ["cnn", "lstm", "transformer"])
@pytest.mark.parametrize("proximal", [0.0, 0.5])
def test_clients_side_by_side_equal_clients_one_after_the_other(architecture, proximal):
    members = parts(60, 7, 33, 20)  # one, three and two steps
    stacked, alone = (
        all_updates(prepared(architecture, proximal=proximal, stacked=side), members)
        for side in (True, False)
    )
    assert stacked[1] == alone[1] == 1 + 3 + 2
    for client in members:
        for name, value in alone[0][client].items():
            assert torch.allclose(stacked[0][client][name], value, atol=2e-5), (client, name)


def test_one_client_with_one_full_batch_takes_the_central_step():
    local = prepared(config=replace(CONFIG, batch_size=60))
    model, split = local.model, local.split
    before = {name: value.clone() for name, value in model.state_dict().items()}
    ids, mask, labels = split.take(torch.arange(60))
    loss = F.cross_entropy(model(input_ids=ids, attention_mask=mask).logits, labels)
    gradients = dict(
        zip(local.names, torch.autograd.grad(loss, list(model.parameters())), strict=True)
    )
    ((update,), steps) = ([u for _, u in all_updates(local, parts(60, 60))[0].items()], 1)
    weights = local.global_weights()
    ServerOptimizer(Federated(), weights).step(weights, update)
    assert steps == 1
    for name, gradient in gradients.items():
        central = before[name] - CONFIG.learning_rate * gradient
        assert torch.allclose(model.state_dict()[name], central, atol=1e-6), name


def test_one_client_that_holds_everything_is_sgd_on_it():
    """Three steps of plain SGD on the same batches, by PyTorch's own optimiser."""
    local = prepared(config=replace(CONFIG, batch_size=20))
    (update,) = all_updates(local, parts(60, 60))[0].values()
    model = local.model.train()
    start = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=CONFIG.learning_rate)
    for batch in local.batches(1, 0, torch.arange(60)):
        ids, mask, labels = local.split.take(batch)
        optimizer.zero_grad()
        F.cross_entropy(model(input_ids=ids, attention_mask=mask).logits, labels).backward()
        optimizer.step()
    for name, value in model.named_parameters():
        assert torch.allclose(value - start[name], update[name], atol=1e-5), name


def test_training_clients_leaves_the_global_model_as_it_was():
    for stacked in (True, False):
        local = prepared(stacked=stacked)
        before = {name: value.clone() for name, value in local.model.state_dict().items()}
        all_updates(local, parts(60, 30, 30))
        assert all(torch.equal(v, before[n]) for n, v in local.model.state_dict().items())


def test_a_client_without_sentences_sends_nothing():
    found, steps = all_updates(prepared(), {0: torch.arange(16), 1: torch.arange(0)})
    assert list(found) == [0]
    assert steps == 1


def test_the_proximal_term_pulls_clients_to_the_global_model():
    members = parts(60, 60)

    def length(proximal):
        local = prepared(config=replace(CONFIG, batch_size=10), proximal=proximal)
        (update,) = all_updates(local, members)[0].values()
        return sum(float(value.square().sum()) for value in update.values())

    assert length(2.0) < length(0.5) < length(0.0)


@pytest.mark.parametrize("server", ["fedadam", "fedyogi", "fedadagrad"])
def test_adaptive_servers_follow_the_paper(server):
    """Two steps of algorithm 2 of Reddi et al. 2021 on one number, by hand."""
    weights = {"w": torch.tensor([1.0])}
    optimizer = ServerOptimizer(Federated(server=server, server_rate=0.1), weights)
    w, m, v = 1.0, 0.0, TAU**2
    for delta in (0.5, -0.2):
        optimizer.step(weights, {"w": torch.tensor([delta])})
        square = delta**2
        m = delta if server == "fedadagrad" else 0.9 * m + 0.1 * delta
        if server == "fedadagrad":
            v += square
        elif server == "fedadam":
            v = 0.99 * v + 0.01 * square
        else:
            v -= 0.01 * square * (1 if v > square else -1)
        w += 0.1 * m / (v**0.5 + TAU)
        assert float(weights["w"]) == pytest.approx(w, rel=1e-5)


def test_the_average_of_fedavg_is_added_whole():
    weights = {"w": torch.tensor([1.0, 2.0])}
    ServerOptimizer(Federated(), weights).step(weights, {"w": torch.tensor([0.5, -1.0])})
    assert weights["w"].tolist() == [1.5, 1.0]
