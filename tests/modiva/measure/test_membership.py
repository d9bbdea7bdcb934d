"""Membership inference: attacks against their formulas, rates, intervals, and audits of nothing."""

import math

import numpy as np
import pytest
from scipy import stats

from modiva.measure.column import columns_of
from modiva.measure.columns import MembershipRow, PoolColumns
from modiva.measure.inference import OFFLINE, ONLINE, Signals, leave_one_out
from modiva.measure.membership import (
    Claim,
    audit_pool,
    pool_rates,
    score_pool,
    score_records,
)
from modiva.privacy import PrivacyPlan

CENTRAL = {"training": "central"} | dict.fromkeys(
    ("partition", "selection", "per_round", "periods", "clients", "rounds")
)
ABOUT = PoolColumns(
    corpus="made", target="cnn", size="small", defense="none", noise_multiplier=0.0,
    target_epsilon=None, **CENTRAL, epsilon=None, delta=None, planting="pin × 1", pool=20,
    pool_seed=0,
    pool_sentences=100, pool_accuracy=0.9,
)  # fmt: skip


def pool(effect: float, models: int = 20, records: int = 100, seed: int = 0) -> Signals:
    """Records of unlike difficulty, whose signal rises by `effect` in the models that hold them."""
    rng = np.random.default_rng(seed)
    held = rng.random((models, records)) < 0.5
    difficulty = 3 * rng.standard_normal(records)
    noise = rng.standard_normal((models, records + 50))
    others = 3 * rng.standard_normal(50) + noise[:, records:]
    return Signals(difficulty + effect * held + noise[:, :records], held, others)


def naive(attack: str, target: int, record: int, signals: Signals) -> float:
    """One score as the papers write it, by loops over models and records."""
    phi, held, other = signals.records, signals.held, signals.population
    references = [m for m in range(len(phi)) if m != target]
    own = phi[target, record]

    def side(is_in: bool) -> tuple[float, float]:
        means, squares, count, examples = {}, 0.0, 0, 0
        every = [phi[m, x] for m in references for x in range(held.shape[1]) if held[m, x] == is_in]
        for x in range(held.shape[1]):
            values = [phi[m, x] for m in references if held[m, x] == is_in]
            means[x] = np.mean(values) if values else np.mean(every)
            squares += sum((value - means[x]) ** 2 for value in values)
            count, examples = count + len(values), examples + bool(values)
        return means[record], math.sqrt(squares / (count - examples))

    (inside, in_spread), (outside, out_spread) = side(True), side(False)
    if attack == "loss":
        return own
    if attack == "lira-offline":
        return (own - outside) / out_spread
    if attack == "lira-online":
        return stats.norm.logpdf(own, inside, in_spread) - stats.norm.logpdf(
            own, outside, out_spread
        )

    def sigmoid(value: float) -> float:
        return 1 / (1 + math.exp(-value))

    def mean(values: list[float]) -> float:
        return float(np.mean(values)) if attack == "rmia-online" else 0.65 * np.mean(values) + 0.35

    chosen = [m for m in references if attack == "rmia-online" or not held[m, record]]
    ratio = sigmoid(own) / mean([sigmoid(phi[m, record]) for m in chosen])
    others = [
        sigmoid(other[target, z]) / mean([sigmoid(other[m, z]) for m in references])
        for z in range(other.shape[1])
    ]
    return float(np.mean([ratio >= each for each in others]))


@pytest.mark.parametrize("attack", [*OFFLINE, *ONLINE])
def test_scores_are_those_of_the_papers(attack):
    signals = pool(1.0, models=6, records=9)
    signals.held[:, 0] = False  # no IN reference
    scores = leave_one_out(signals)[attack]
    expected = [[naive(attack, t, x, signals) for x in range(9)] for t in range(6)]
    if attack.startswith("rmia"):  # every record has an OUT reference here but for chance
        there = np.array([[(~np.delete(signals.held, t, 0)).any(0)] for t in range(6)]).squeeze(1)
        assert scores[there] == pytest.approx(np.array(expected)[there])
    else:
        assert scores == pytest.approx(np.array(expected))


def test_without_a_population_there_is_no_rmia():
    signals = pool(1.0, models=4, records=10)
    bare = Signals(signals.records, signals.held, signals.population[:, :0])
    assert {*leave_one_out(bare)} == {"loss", "lira-offline", "lira-online"}


def test_references_tell_members_that_the_loss_does_not():
    """The difficulty of records drowns the loss; calibration takes it away."""
    signals = pool(1.5, records=300)
    auc = {
        name: pool_rates(scores, signals.held, resamples=2)["auc"]
        for name, scores in leave_one_out(signals).items()
    }
    assert auc["loss"] < 0.65
    best = stats.norm.cdf(1.5 / math.sqrt(2))
    assert auc["lira-online"] == pytest.approx(best, abs=0.03)
    assert auc["lira-offline"] == pytest.approx(best, abs=0.05)
    assert min(auc["rmia-online"], auc["rmia-offline"]) > auc["loss"] + 0.05


def test_the_auc_is_the_share_of_pairs_in_order_and_ties_are_half():
    scores = np.array([[3.0, 2.0, 2.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0, 1.0]])
    held = np.array([[True, True, False, False, True], [True, False, True, False, True]])
    pairs = [(a > b) + (a == b) / 2 for a in (3, 2, 0) for b in (2, 1)]
    found = pool_rates(scores, held, resamples=2)
    assert found["auc"] == pytest.approx((np.mean(pairs) + 0.5) / 2)
    assert found["auc_lower"] is None  # two models are too few to resample


def test_a_true_positive_rate_says_what_false_positive_rate_was_realised():
    held = np.repeat([True, False], [50, 250])
    scores = np.concatenate([np.linspace(2, 1, 50), np.linspace(1.5, 0, 250)])
    found = pool_rates(scores[None], held[None], resamples=2)
    assert found["fpr_1"] == 2 / 250  # the largest below 1 %
    assert found["tpr_1"] == np.mean(scores[:50] > np.sort(scores[50:])[-3])
    assert found["tpr_01"] is found["fpr_01"] is None  # a quarter of a record
    tied = pool_rates(np.ones((1, 300)), held[None], resamples=2)
    assert tied["tpr_1"] == tied["fpr_1"] == 0


def test_balanced_accuracy_is_read_at_a_likelihood_ratio_of_one():
    scores = np.array([[1.0, -1.0, -2.0, 3.0]])
    held = np.array([[True, True, False, False]])
    assert pool_rates(scores, held, llr=True, resamples=2)["balanced_accuracy"] == 0.5
    assert pool_rates(scores, held, resamples=2)["balanced_accuracy"] is None


def test_intervals_over_models_and_records_cover():
    """Records that are easy in every model: resampling one way alone covers far too little."""

    def covered(seed: int, models: int, records: int) -> bool:
        rng = np.random.default_rng([seed, models])
        held = rng.random((models, records)) < 0.5
        ease = rng.standard_normal(records)  # of a record, in every model
        scores = held * (1 + ease) + rng.standard_normal(held.shape)
        found = pool_rates(scores, held, resamples=100)
        return found["auc_lower"] <= truth <= found["auc_upper"]

    rng = np.random.default_rng(1)
    members = 1 + rng.standard_normal(10**6) + rng.standard_normal(10**6)
    truth = float(np.mean(members > rng.standard_normal(10**6)))
    assert np.mean([covered(seed, 8, 60) for seed in range(120)]) > 0.9


@pytest.mark.parametrize("models", [8, 20])
def test_audits_of_records_whose_coins_decide_nothing_rarely_say_anything(models):
    """The null of both audits: 5 % of false alarms at most."""
    alarms = np.array([
        [one.epsilon > 0 for one in audit_pool(pool(0.0, models, 30, seed), 1e-5)]
        for seed in range(200)
    ])  # fmt: skip
    assert (alarms.mean(0) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 200)).all()


def test_audits_of_a_gaussian_mechanism_are_rarely_above_its_mu():
    wrong = [audit_pool(pool(1.0, 8, 15, seed), 1e-5)[1].mu > 1.0 for seed in range(200)]
    assert np.mean(wrong) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 200)


def test_audits_find_what_is_told_perfectly():
    many, one = audit_pool(pool(50.0, 100, 20), 1e-5)
    assert one.epsilon > 5
    assert many.epsilon > 1.5  # fifty models, half of them with the record
    few, _ = audit_pool(pool(50.0, 20, 20), 1e-5)
    assert few.epsilon == 0  # of ten models many runs can show nothing


def test_rows_have_every_kind_of_records_attack_and_bound():
    signals = pool(1.0, 20, 120)
    plan = PrivacyPlan(500, 0.3, 40, 1.0, 2.0, 1e-5)
    parts = {
        ("sentences", 1): (np.arange(100), Claim(plan.trade_off(1), plan.epsilon(), 1e-5)),
        ("canaries", 10): (np.arange(100, 110), Claim(plan.trade_off(10), None, 1e-5)),
        ("controls", 0): (np.arange(110, 120), Claim(plan.trade_off(0), None, 1e-5)),
    }
    rows = list(score_pool(signals, ABOUT, parts, resamples=20))
    assert len(rows) == 3 * 5
    for row in rows:
        expected = {"sentences": plan.trade_off(1).area(), "controls": 0.5}.get(row.records)
        assert row.auc_bound == pytest.approx(expected or plan.trade_off(10).area())
        assert (row.one_epsilon_lower is not None) == (row.inference == "lira-online")
        assert row.auc_lower < row.auc < row.auc_upper
        if row.tpr_1 is not None:
            assert row.tpr_1_bound == float(plan.trade_off(row.repetitions)(row.fpr_1))
    assert [column.name for column in columns_of(MembershipRow)] == list(vars(rows[0]))


def test_a_sentence_is_as_vulnerable_as_its_mean_ratio_where_it_is_held():
    signals = pool(2.0, 12, 40)
    rows = list(score_records(signals, ABOUT, [(f"sentence {n}", "x") for n in range(30)]))
    ratios = leave_one_out(signals)["lira-online"]
    assert len(rows) == 30
    for number, row in enumerate(rows):
        held = signals.held[:, number]
        assert row.held_by == held.sum()
        assert row.mean_ratio == pytest.approx(ratios[held, number].mean())
    never = Signals(signals.records, np.zeros_like(signals.held), signals.population)
    assert next(score_records(never, ABOUT, [("sentence", "x")])).mean_ratio is None
