import pytest

from modiva.classifiers import TargetSpec, parse_target
from modiva.errors import ModivaError
from modiva.training import (
    DEFENSES,
    Defense,
    TrainConfig,
    apply_defense,
    default_config,
    defenses,
    parse_defense,
    register_defense,
)

SPEC = parse_target("lstm", "small")
CONFIG = default_config(SPEC)


def test_none_changes_nothing():
    assert apply_defense("none", SPEC, CONFIG) == (SPEC, CONFIG)


def test_each_defense_changes_its_own_settings():
    spec, config = apply_defense("dropout", SPEC, CONFIG)
    assert spec.head_dropout == 0.5
    assert spec.embedding_dropout == spec.encoder_dropout > 0
    assert config.epochs > CONFIG.epochs  # dropout slows learning down
    assert apply_defense("dropout", SPEC, default_config(SPEC, epochs=3))[1].epochs == 3
    spec, config = apply_defense("early-stopping", SPEC, CONFIG)
    assert spec == SPEC
    assert config.patience
    spec, config = apply_defense("char-embeddings", SPEC, CONFIG)
    assert spec.char_embeddings
    assert config == CONFIG


def test_the_papers_combination_is_all_three():
    spec, config = apply_defense("dropout+early-stopping+char-embeddings", SPEC, CONFIG)
    assert spec.char_embeddings
    assert spec.head_dropout
    assert config.patience
    assert config.privacy is None


def test_dp_brings_settings_worth_training_with_and_keeps_what_was_chosen():
    _, config = apply_defense("dropout+dp", SPEC, CONFIG, noise_multiplier=0.5)
    assert config.privacy.noise_multiplier == 0.5
    assert config.privacy.batch_size is None  # a share of the sentences
    assert config.epochs >= 30
    assert apply_defense("dp+dropout", SPEC, CONFIG, noise_multiplier=0.5)[1] == config
    _, config = apply_defense("dp", SPEC, default_config(SPEC, epochs=3), epsilon=3, delta=1e-6)
    assert config.epochs == 3
    assert (config.privacy.epsilon, config.privacy.delta) == (3, 1e-6)
    _, config = apply_defense("dp", SPEC, CONFIG)
    assert config.privacy.noise_multiplier == 1.0


def test_edp_brings_microbatches_and_decaying_noise():
    _, config = apply_defense("dropout+edp", SPEC, CONFIG, epsilon=3, delta=1e-6)
    assert (config.privacy.epsilon, config.privacy.delta) == (3, 1e-6)
    assert config.privacy.microbatches.size == 16
    assert config.privacy.microbatches.per_layer
    assert 0.9 < config.privacy.noise_decay < 1
    assert config.epochs == apply_defense("dp", SPEC, CONFIG)[1].epochs
    assert apply_defense("edp", SPEC, CONFIG)[1].privacy.noise_multiplier == 1.0
    assert apply_defense("dp", SPEC, CONFIG)[1].privacy.microbatches is None
    with pytest.raises(ModivaError, match=r"2 ways: keep one of dp, edp"):
        apply_defense("dp+edp", SPEC, CONFIG, noise_multiplier=1.0)


def test_unknown_defenses_are_answered_with_the_names():
    with pytest.raises(ModivaError, match=r"dorpout.*none, dropout, early-stopping"):
        apply_defense("dorpout+dp", SPEC, CONFIG)
    with pytest.raises(ModivaError, match="unknown defense ''"):
        parse_defense("dp+")


def test_noise_without_dp_is_refused():
    with pytest.raises(ModivaError, match="noise_multiplier=1"):
        apply_defense("dropout", SPEC, CONFIG, noise_multiplier=1.0)
    with pytest.raises(ModivaError, match="exactly one"):
        apply_defense("dp", SPEC, CONFIG, noise_multiplier=1.0, epsilon=3.0)


def test_character_embeddings_need_one_of_our_own_targets():
    with pytest.raises(ModivaError, match="char-embeddings"):
        apply_defense("char-embeddings", TargetSpec("minilm"), TrainConfig())


def test_users_can_add_defenses(monkeypatch):
    monkeypatch.setattr(defenses, "_REGISTRY", dict(DEFENSES))
    register_defense(
        Defense("short", "one epoch", lambda s, c, _: (s, default_config(s, epochs=1)))
    )
    assert apply_defense("short", SPEC, CONFIG)[1].epochs == 1
    for name in ("short", "a+b", ""):
        with pytest.raises(ModivaError, match="defense name"):
            register_defense(Defense(name, "", lambda s, c, _: (s, c)))


def test_defaults_depend_on_the_target_and_give_way():
    assert default_config("minilm").learning_rate < default_config("cnn").learning_rate
    config = default_config("cnn", size="small", epochs=None, device="cpu", seed=3)
    assert (config.epochs, config.device, config.seed) == (default_config("cnn").epochs, "cpu", 3)
    with pytest.raises(ModivaError, match="epoch"):
        default_config("cnn", epoch=3)
