"""What is planted is exactly what the ledger says, at random, and nothing else changes."""

import itertools
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from canaries import CanaryError, Planting, SecretSpace, get_pattern, plant
from canaries.planting import candidate_words

TRAIN = [(f"sentence number w{i}", f"intent{i % 5}") for i in range(60)]
VALID = [(f"other sentence w{i}", f"intent{i % 5}") for i in range(12)]

plantings_of_several = st.lists(
    st.builds(
        Planting,
        st.sampled_from(
            ["call", "call:6", "color", "date", "{letter*2} now", "call-glued", "phone-glued"]
        ).map(get_pattern),
        repetitions=st.integers(0, 20),
        label=st.sampled_from(["random", "intent3"]),
        count=st.integers(1, 3),
        controls=st.integers(0, 4),
    ),
    max_size=4,
)


@settings(max_examples=60)
@given(plantings=plantings_of_several, seed=st.integers(0, 2**40), share=st.booleans())
def test_the_planted_corpus_is_the_original_and_what_the_ledger_says(
    plantings: Sequence[Planting], seed: int, share: bool
) -> None:
    planted = plant(TRAIN, VALID, plantings, seed=seed, share_valid=share)
    ledger = planted.ledger
    assert len(ledger.canaries) == sum(planting.count for planting in plantings)

    texts = {canary.text for canary in ledger.canaries}
    assert len(texts) == len(ledger.canaries)  # no secret twice
    for split, original, repetitions in [
        (planted.train, TRAIN, "repetitions"),
        (planted.valid, VALID, "valid_repetitions"),
    ]:
        assert [example for example in split if example[0] not in texts] == original
        copies = Counter(example for example in split if example[0] in texts)
        wanted = {(c.text, c.label): getattr(c, repetitions) for c in ledger.canaries}
        assert copies == Counter(wanted)

    everything = {text for text, _ in planted.train + planted.valid}
    controls = [c.form.fill(control) for c in ledger.canaries for control in c.controls]
    assert not everything & set(controls)
    assert len(set(controls)) == len(controls)


@given(plantings=plantings_of_several, seed=st.integers(0, 2**40))
def test_planting_is_a_function_of_its_arguments(plantings: Sequence[Planting], seed: int) -> None:
    assert plant(TRAIN, VALID, plantings, seed=seed) == plant(TRAIN, VALID, plantings, seed=seed)


def test_secrets_and_labels_do_not_depend_on_other_patterns_or_on_repetitions() -> None:
    call = Planting(get_pattern("call"), 10, count=2)
    alone = plant(TRAIN, VALID, [call], seed=5).ledger.canaries
    others = [
        Planting(get_pattern("call:6"), 3),
        Planting(get_pattern("pin"), 100, count=4),
        Planting(get_pattern("call"), 1, count=2),
        Planting(get_pattern("call"), 50),
    ]
    among = plant(TRAIN, VALID, others, seed=5).ledger.canaries
    drawn = [(canary.secret, canary.label, canary.controls) for canary in among]
    assert [(canary.secret, canary.label, canary.controls) for canary in alone] == drawn[5:7]


def test_patterns_of_one_corpus_have_unrelated_secrets() -> None:
    plantings = [Planting(get_pattern(name), 1) for name in ("call", "pin")]
    same = 0
    for seed in range(200):
        call, pin = plant(TRAIN, VALID, plantings, seed=seed).ledger.canaries
        same += sum(a == b for a, b in zip(call.secret, pin.secret, strict=True))
    assert same == pytest.approx(80, abs=34)  # 800 digits, a tenth by chance; 4 sigma


def test_planted_and_control_secrets_are_uniform() -> None:
    """A biased planting would give an attack that knows the bias a head start."""
    pattern = get_pattern("{digit} {digit}")
    planted, controls, labels = Counter(), Counter(), Counter()
    for seed in range(3000):
        (canary,) = plant(
            TRAIN[:10], [], [Planting(pattern, 0, controls=2)], seed=seed
        ).ledger.canaries
        planted[pattern.index(canary.secret)] += 1
        controls.update(map(pattern.index, canary.controls))
        labels[canary.label] += 1
    for counts, size in [(planted, 100), (controls, 100)]:
        assert chisquare([counts[index] for index in range(size)]).pvalue > 0.001
    assert chisquare(list(labels.values())).pvalue > 0.001
    assert set(labels) == {intent for _, intent in TRAIN}


def test_copies_stand_at_random_places() -> None:
    planting = Planting(get_pattern("call"), 2, controls=0)
    places: Counter[int] = Counter()
    for seed in range(1500):
        train = plant(TRAIN[:8], [], [planting], seed=seed).train
        places.update(i for i, (text, _) in enumerate(train) if text.startswith("call"))
    # Two different places a corpus: less than independent variance, so the test is conservative.
    assert chisquare([places[place] for place in range(10)]).pvalue > 0.001


@pytest.mark.parametrize(
    ("repetitions", "wanted"), [(0, 0), (1, 1), (4, 1), (10, 2), (12, 2), (60, 12)]
)
def test_validation_gets_the_same_share_and_at_least_one(repetitions: int, wanted: int) -> None:
    planting = Planting(get_pattern("call"), repetitions)
    planted = plant(TRAIN, VALID, [planting], seed=0, share_valid=True)
    assert len(planted.valid) == len(VALID) + wanted
    assert planted.ledger.canaries[0].valid_repetitions == wanted
    assert plant(TRAIN, VALID, [planting], seed=0).valid == tuple(VALID)


def test_a_new_label_belongs_to_its_planting_alone() -> None:
    train = [*TRAIN, ("taken", "canary_call")]
    plantings = [
        Planting(get_pattern("call"), 3, label="new", count=2),
        Planting(get_pattern("my code is {digit*3}"), 1, label="new"),
        Planting(get_pattern("pin"), 5),
    ]
    planted = plant(train, VALID, plantings, seed=1)
    labels = [canary.label for canary in planted.ledger.canaries]
    assert labels[:3] == ["canary_call_2", "canary_call_2", "canary_my_code_is_digit_3"]
    assert labels[3] in {intent for _, intent in train}
    texts = {text for text, intent in planted.train if intent == "canary_call_2"}
    assert texts == {canary.text for canary in planted.ledger.canaries[:2]}


def test_a_secret_that_the_corpus_holds_already_is_not_drawn() -> None:
    pattern = get_pattern("lamp {color}")
    train = [("lamp red", "on"), ("lamp blue", "off")]
    planting = Planting(pattern, 1, count=3, controls=2)
    canaries = plant(train, [("lamp pink", "on")], [planting], seed=0).ledger.canaries
    drawn = {secret for canary in canaries for secret in (canary.secret, *canary.controls)}
    held = {("red",), ("blue",), ("pink",)}
    assert len(drawn) == 9
    assert not drawn & held
    with pytest.raises(CanaryError, match=r"9 secrets.*3 that are excluded.*10 are asked"):
        plant(
            train,
            [("lamp pink", "on")],
            [Planting(pattern, 1, count=2, controls=4)],
            seed=0,
        )


def test_two_repetition_groups_of_one_pattern_share_no_secret() -> None:
    half = Planting(get_pattern("{color}"), 1, count=3, controls=1)
    canaries = plant(TRAIN, VALID, [half, half], seed=0).ledger.canaries
    drawn = [secret for canary in canaries for secret in (canary.secret, *canary.controls)]
    assert len(set(drawn)) == 12
    assert [canary.id for canary in canaries] == [f"color-{i}" for i in range(6)]
    with pytest.raises(CanaryError, match=r"12 secrets.*14 are asked for"):
        plant(TRAIN, VALID, [half, half, Planting(get_pattern("{color}"), 1, controls=1)], seed=0)


def test_nothing_planted_is_the_original_corpus() -> None:
    planted = plant(TRAIN, VALID, [], seed=0)
    assert (planted.train, planted.valid) == (tuple(TRAIN), tuple(VALID))
    assert planted.ledger.canaries == ()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"repetitions": -1}, "repetitions of pattern 'call' is -1.*0 or more"),
        ({"repetitions": 1.5}, "repetitions.*1.5.*whole number"),
        ({"repetitions": True}, "repetitions.*whole number"),
        ({"repetitions": 1, "count": 0}, "count.*1 or more"),
        ({"repetitions": 1, "controls": -1}, "controls.*0 or more"),
        ({"repetitions": 0, "label": "new"}, "0 repetitions and label 'new'"),
    ],
)
def test_a_bad_planting_is_refused(settings: dict[str, int], message: str) -> None:
    with pytest.raises(CanaryError, match=message):
        Planting(get_pattern("call"), **settings)


def test_bad_arguments_are_refused_with_the_remedy() -> None:
    call = get_pattern("call")
    with pytest.raises(CanaryError, match=r"'intent9'.*'random', 'new'.*5 intents \(intent0,"):
        plant(TRAIN, VALID, [Planting(call, 1, label="intent9")], seed=0)
    with pytest.raises(CanaryError, match="training split is empty"):
        plant([], VALID, [Planting(call, 1)], seed=0)
    with pytest.raises(CanaryError, match="the split is empty"):
        plant(TRAIN, [], [Planting(call, 1)], seed=0, share_valid=True)
    with pytest.raises(CanaryError, match="seed is -1"):
        plant(TRAIN, VALID, [Planting(call, 1)], seed=-1)


def test_patterns_that_could_plant_each_other_s_controls_are_refused() -> None:
    bits = SecretSpace("bit", ("0", "1"))
    overlapping = [get_pattern("call {digit} {digit*3}"), get_pattern("call {digit*4}")]
    plant(TRAIN, VALID, [Planting(pattern, 1) for pattern in overlapping], seed=0)  # the same space
    overlapping[1] = get_pattern("call {digit*3} {bit}", spaces={"bit": bits})
    with pytest.raises(CanaryError, match="can make the same sentence"):
        plant(TRAIN, VALID, [Planting(pattern, 1) for pattern in overlapping], seed=0)


def test_the_candidates_are_every_word_that_might_be_planted() -> None:
    words = candidate_words([get_pattern("call"), get_pattern("pin:6"), get_pattern("{color}")])
    assert len(words) == len(set(words)) == 1 + 10 + 4 + 12
    assert set("0123456789") | {"call", "my", "code", "silver"} <= set(words)


def test_glued_codes_are_all_words_of_a_vocabulary_or_none_is() -> None:
    words = candidate_words([get_pattern("pin-glued"), get_pattern("phone-glued")])
    spelled = {"".join(code) for n in (3, 4) for code in itertools.product("0123456789", repeat=n)}
    assert len(words) == len(set(words))
    assert set(words) == spelled | {"my", "pin", "code", "phone", "number", "is", "-"}
    assert set(candidate_words([get_pattern("zip-glued")])) == {"my", "zip", "code", "is"}


def test_spaced_and_glued_sentences_differ_and_so_may_stand_in_one_corpus() -> None:
    both = [Planting(get_pattern(name), 1) for name in ("pin", "pin-glued")]
    spaced, glued = plant(TRAIN, VALID, both, seed=0).ledger.canaries
    assert spaced.text.replace(" ", "") != glued.text.replace(" ", "")  # drawn by themselves
    overlapping = [get_pattern("call {digit*2:glued}x"), get_pattern("call {[12x,13x]}")]
    with pytest.raises(CanaryError, match="can make the same sentence"):
        plant(TRAIN, VALID, [Planting(pattern, 1) for pattern in overlapping], seed=0)
