"""ADePT: noise calibrated exactly, on codes of a bounded norm, by a public autoencoder."""

import math

import numpy as np
import pytest

from canaries import get_pattern
from modiva.condition import Condition
from modiva.corpora import load
from modiva.errors import ModivaError
from modiva.training import prepare
from modiva.training.textprivacy import Autoencoder, get_mechanism
from modiva.training.textprivacy.adept import Adept
from modiva.training.textprivacy.autoencoder import CLIP_NORM


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "public.csv"
    verbs, things = ("play", "stop", "find"), ("music", "lights", "alarm", "door")
    rows = [f"{verb} the {thing} now,{verb}" for verb in verbs for thing in things]
    path.write_text("\n".join(["text,intent", *rows * 6]) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def autoencoder(corpus):
    return Autoencoder.train_on(load(str(corpus)), epochs=120)


@pytest.fixture(scope="module")
def folder(autoencoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("autoencoder") / "saved"
    autoencoder.save(folder)
    return folder


@pytest.mark.parametrize(
    ("epsilon", "sigma"), [(1, 7.46), (8, 1.20), (50, 0.30), (200, 0.123), (1000, 0.049)]
)
def test_sigma_over_the_clip_norm_is_the_analytic_one(epsilon, sigma):
    assert 2 / Adept(epsilon).mu == pytest.approx(sigma, rel=0.02)


def test_copies_compose_better_than_their_sum_and_worse_than_one():
    mechanism = Adept(1.0)
    pattern = get_pattern("my code is {digit*4}")
    one, ten = (mechanism.secret_epsilon(pattern, copies) for copies in (1, 10))
    assert one == 1.0 == mechanism.proven
    assert math.sqrt(10) < ten < 10


def test_noise_is_gaussian_of_that_size(autoencoder):
    mechanism = Adept(8.0, given=autoencoder)
    noise = mechanism.noise(200, np.random.default_rng(0))
    assert noise.shape == (200, autoencoder.code_size)
    assert noise.std() == pytest.approx(2 * CLIP_NORM / mechanism.mu, rel=0.02)


def test_codes_are_clipped_and_without_noise_sentences_come_back(autoencoder):
    sentences = ["play the lights now", "find the door now", "stop the music now"]
    codes = autoencoder.codes([*sentences, "quite other words here", ""])
    assert (np.linalg.norm(codes, axis=1) <= CLIP_NORM * (1 + 1e-6)).all()
    assert Adept(1e6, given=autoencoder).rewrite(sentences, seed=0) == sentences


def test_it_is_saved_and_used_again_and_puts_out_public_words_alone(autoencoder, folder):
    sentences = ["my code is 1 2 3 4"] * 20
    saved = get_mechanism("adept:50", autoencoder=str(folder))
    rewritten = saved.rewrite(sentences, seed=1)
    assert rewritten == Adept(50.0, given=autoencoder).rewrite(sentences, seed=1)
    assert len(set(rewritten)) > 1
    assert {word for text in rewritten for word in text.split()} <= set(autoencoder.words)


def test_the_corpus_that_it_was_trained_on_is_refused(corpus, folder):
    condition = Condition(corpus=str(corpus), privatize="adept:50", autoencoder=str(folder))
    with pytest.raises(ModivaError, match="train one on another corpus"):
        prepare(condition)


def test_a_folder_without_an_autoencoder_is_refused(tmp_path):
    with pytest.raises(ModivaError, match="holds no autoencoder"):
        get_mechanism("adept:50", autoencoder=str(tmp_path)).rewrite(["a"], seed=0)
