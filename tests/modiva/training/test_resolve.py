"""Settings of a training: defaults of target, defenses and privacy, then what was chosen."""

import pytest

from modiva.condition import Condition, Privacy
from modiva.errors import ModivaError
from modiva.training import defenses, resolve
from modiva.training.defenses import Defense, parse_defense, register_defense


def lstm(**settings):
    return resolve(Condition(target="lstm", size="small", **settings))


SPEC, CONFIG = lstm()


def test_none_changes_nothing():
    assert lstm(defense="none") == (SPEC, CONFIG)


def test_each_defense_changes_its_own_settings():
    spec, config = lstm(defense="dropout")
    assert spec.head_dropout == 0.5
    assert spec.embedding_dropout == spec.encoder_dropout > 0
    assert config.epochs > CONFIG.epochs  # dropout slows learning down
    spec, config = lstm(defense="early-stopping")
    assert spec == SPEC
    assert config.patience
    spec, config = lstm(defense="char-embeddings")
    assert spec.char_embeddings
    assert config == CONFIG


def test_the_papers_combination_is_all_three():
    spec, config = lstm(defense="dropout+early-stopping+char-embeddings")
    assert spec.char_embeddings
    assert spec.head_dropout
    assert config.patience
    assert config.privacy is None


PRIVATE = Privacy(noise_multiplier=0.5)


@pytest.mark.parametrize("defense", ["none", "dropout"])
@pytest.mark.parametrize("privacy", [None, PRIVATE, Privacy(epsilon=3.0, method="edp")])
@pytest.mark.parametrize("epochs", [3, CONFIG.epochs, 2 * CONFIG.epochs, 40])
def test_what_was_chosen_is_never_changed_even_where_it_equals_a_default(defense, privacy, epochs):
    _, config = lstm(defense=defense, privacy=privacy, epochs=epochs, learning_rate=1e-2)
    assert config.epochs == epochs
    assert config.learning_rate == 1e-2


def test_private_training_has_settings_worth_training_with():
    _, config = lstm(defense="dropout", privacy=PRIVATE)
    assert config.privacy.noise_multiplier == 0.5
    assert config.privacy.batch_size is None  # a share of the sentences
    assert config.privacy.microbatches is None
    assert config.epochs >= 30
    _, config = lstm(privacy=Privacy(epsilon=3.0, delta=1e-6, clip_norm=2.0), batch_size=99)
    assert (config.privacy.epsilon, config.privacy.delta) == (3, 1e-6)
    assert (config.privacy.clip_norm, config.privacy.batch_size) == (2.0, 99)


def test_edp_brings_microbatches_and_decaying_noise():
    _, config = lstm(defense="dropout", privacy=Privacy(epsilon=3.0, method="edp"))
    assert config.privacy.microbatches.size == 16
    assert config.privacy.microbatches.per_layer
    assert 0.9 < config.privacy.noise_decay < 1
    assert config.epochs == lstm(privacy=PRIVATE)[1].epochs


def test_a_pretrained_target_trains_its_head_alone_under_privacy():
    assert not resolve(Condition(target="minilm"))[0].freeze_encoder
    spec, _ = resolve(Condition(target="minilm", privacy=PRIVATE))
    assert spec.freeze_encoder
    assert spec.head_dropout == 0


def test_defaults_depend_on_the_target():
    rates = [resolve(Condition(target=name))[1].learning_rate for name in ("minilm", "cnn")]
    assert rates[0] < rates[1]
    assert resolve(Condition(), device="cpu", seed=3)[1].seed == 3


def test_unknown_defenses_are_answered_with_the_names():
    with pytest.raises(ModivaError, match=r"dorpout.*none, dropout, early-stopping"):
        parse_defense("dorpout")
    with pytest.raises(ModivaError, match="unknown defense ''"):
        parse_defense("dropout+")


def test_character_embeddings_need_one_of_our_own_targets():
    with pytest.raises(ModivaError, match="char-embeddings"):
        resolve(Condition(target="minilm", defense="char-embeddings"))


def test_users_can_add_defenses(monkeypatch):
    monkeypatch.setattr(defenses, "_REGISTRY", dict(defenses._REGISTRY))
    monkeypatch.setattr(defenses, "DEFENSES", defenses._REGISTRY)
    register_defense(Defense("short", "one epoch", lambda s, c: (s, {**c, "epochs": 1})))
    assert lstm(defense="short")[1].epochs == 1
    assert lstm(defense="short", epochs=5)[1].epochs == 5
    for name in ("short", "a+b", "", "dp"):
        with pytest.raises(ModivaError, match="defense name"):
            register_defense(Defense(name, "", lambda s, c: (s, c)))
