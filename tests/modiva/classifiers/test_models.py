"""A target's logits are a function of the words of a sentence, and of nothing else."""

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from modiva.classifiers import LstmRecurrence, TargetSpec, build

LENGTHS = st.lists(st.integers(1, 7), min_size=1, max_size=4)


@settings(deadline=None, max_examples=15)
@given(lengths=LENGTHS, extra=st.integers(0, 4), seed=st.integers(0, 99))
def test_logits_do_not_depend_on_padding(spec, make, draw, lengths, extra, seed):
    model = make(spec).model
    ids = draw(model.config.vocab_size, lengths, max(lengths) + extra, seed)
    together = model(input_ids=ids, attention_mask=ids.ne(0).long()).logits
    for row, length in enumerate(lengths):
        alone = model(input_ids=ids[row : row + 1, :length]).logits
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=1e-5)


def test_what_stands_under_the_mask_changes_nothing(spec, make, draw):
    model = make(spec).model
    ids = draw(model.config.vocab_size, [2, 4], 6)
    vectors = model.input_vectors(ids)
    noise = 100 * torch.randn_like(vectors) * ids.eq(0).unsqueeze(-1)
    with_noise = model(inputs_embeds=vectors + noise, attention_mask=ids.ne(0)).logits
    torch.testing.assert_close(with_noise, model(input_ids=ids).logits)


def test_vectors_of_the_ids_give_the_logits_of_the_ids(spec, make, draw):
    model = make(spec).model
    ids = draw(model.config.vocab_size, [5, 5, 5], 5)
    vectors = model.input_vectors(ids)
    assert vectors.shape == (3, 5, model.config.input_size)
    torch.testing.assert_close(model(inputs_embeds=vectors).logits, model(input_ids=ids).logits)
    # A candidate has the same vector whatever stands beside it.
    torch.testing.assert_close(model.input_vectors(ids[0, :1]), vectors[0, :1])


def test_a_sentence_without_words_has_finite_logits(spec, make):
    model = make(spec).model
    ids = torch.zeros(2, 3, dtype=torch.long)
    assert model(input_ids=ids).logits.isfinite().all()


def test_loss_is_the_cross_entropy_of_the_logits(spec, make, draw):
    model = make(spec).model
    ids, labels = draw(model.config.vocab_size, [3, 4], 4), torch.tensor([0, 4])
    output = model(input_ids=ids, labels=labels)
    torch.testing.assert_close(output.loss, F.cross_entropy(output.logits, labels))


def test_every_parameter_is_in_a_leaf_called_once_with_the_batch_first(spec, make, draw):
    model = make(spec).model
    leaves = (nn.Linear, nn.Embedding, nn.LayerNorm, LstmRecurrence)
    owners = {m: 0 for m in model.modules() if list(m.parameters(recurse=False))}
    assert all(type(module) in leaves for module in owners)

    def count(module, args, output):
        assert args[0].shape[0] == output.shape[0] == 3
        owners[module] += 1

    hooks = [module.register_forward_hook(count) for module in owners]
    model(input_ids=draw(model.config.vocab_size, [2, 4, 1], 4))
    for hook in hooks:
        hook.remove()
    assert set(owners.values()) == {1}


def test_word_order_matters_to_every_architecture(spec, make):
    model = make(spec).model
    forward = torch.tensor([[2, 3, 4, 5, 6, 7]])
    assert not torch.allclose(model(forward).logits, model(forward.flip(1)).logits, atol=1e-6)


def test_dropout_acts_in_training_only_and_at_all_three_places(make, draw):
    places = ("embedding_dropout", "encoder_dropout", "head_dropout")
    for architecture in ("cnn", "lstm", "transformer"):
        for place in places:
            model = make(TargetSpec(architecture, 6, 8, **{place: 0.5})).model
            ids = draw(model.config.vocab_size, [5], 5)
            assert torch.equal(model(ids).logits, model(ids).logits)
            model.train()
            assert not torch.equal(model(ids).logits, model(ids).logits)


def test_characters_give_different_unknown_spellings_the_same_word_one_vector():
    spec = TargetSpec("lstm", 6, 8, char_embeddings=True)
    words = ["table", "tables", "extraordinarily"]
    target = build(spec, texts=words, intents=["a", "b"])
    ids = torch.tensor([target.tokenizer.convert_tokens_to_ids(word) for word in words])
    spelled = target.model.input_vectors(ids)[:, 6:]
    assert not torch.allclose(spelled[0], spelled[1])
    # The spelling is part of the model: it is in the checkpoint.
    assert "embedding.characters.table" in target.model.state_dict()
    assert target.model.input_vectors(torch.zeros(1, 1, dtype=torch.long)).count_nonzero() == 0
