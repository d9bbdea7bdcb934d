"""What the report says in words of its own: columns, threat model, notes."""

GLOSSARY = {
    "corpus": "The sentences and intents that the targets learned.",
    "target": "The classifier that was attacked.",
    "defense": "What was done in training against extraction; several are joined by +.",
    "noise_multiplier": "σ of DP-SGD: noise as a multiple of the clip norm. 0 is no privacy.",
    "epsilon": "Upper bound on the privacy loss of one training sentence; empty or ∞: no bound.",
    "group_epsilon": "The same bound for a whole secret: for all R sentences that say it.",
    "delta": "Probability with which the bound on ε may fail.",
    "pattern": "The template of the planted sentence; its slots hold the secret.",
    "length": "Number of slots, which is the number of words in a secret.",
    "repetitions": "R: how many times the canary was in the training data; 0 is never.",
    "model_seed": "Which independently trained model.",
    "canary": "Which planted sentence of that model.",
    "planted": "1 where the scored secret was in the training data; 0 for controls and at R = 0.",
    "control": "0 for the canary's own secret, else the number of the control.",
    "attack": "The search or published recipe that made the reconstruction.",
    "objective": "What the attack minimised.",
    "exact": "1 where every word of the secret is right: the reconstruction accuracy.",
    "hamming": "Number of wrong words.",
    "rank": "Place of the secret among all that were ranked: 1 is first, a tie counts as its last "
    "place. Empty for searches, which score only what they visit (`exhaustive` scores all).",
    "ranked": "How many secrets were ranked: the whole space, or a sample of a larger one.",
    "exposure": "log2 of the number of possible secrets minus log2 of the rank, in bits, where the "
    "attack scores them all (mean over a tie). A secret never seen has 1.44 on average.",
    "position_accuracy": "Share of words that are right in their place.",
    "position_hits": "Right (1) and wrong (0) words, position by position.",
    "multiset": "1 where the right words were found, in whatever order.",
    "top10": "1 where the secret is among the attack's first ten candidates.",
    "evaluations": "Forward passes of one candidate; a gradient step counts three.",
    "seconds": "Wall time of the attack on this secret.",
    "test_accuracy": "Accuracy of the same model on held-out sentences.",
    "majority_accuracy": "What always naming the most common intent reaches: the floor.",
    "secret": "The true words (synthetic).",
    "reconstruction": "The attack's first candidate.",
    "space_size": "Number of secrets that the pattern allows.",
    "slot_sizes": "Number of options of each slot.",
    "cell": "The content address of the trained target.",
}

THREAT_MODEL = (
    "The attacker holds the trained model: all weights and the tokenizer.",
    "The attacker knows the words around the secret, what each slot may hold (say, a digit), and "
    "the intent that the sentence was labelled with.",
    "The attacker has no training sentence and never sees the secret. The list of secrets is a "
    "separate file that only the scoring opens.",
    "Every secret is drawn uniformly at random, so success by guessing is known exactly, and "
    "control secrets of the same draw are scored against the same reconstructions.",
)

NOTES = (
    "R = 0 is the floor: targets that never saw the canary. There, and for controls, matches are "
    "luck.",
    "Intervals are 95 % and over independently trained models: Wilson where a model holds one "
    "secret, else a bootstrap that resamples whole models; where fewer than five models show the "
    "rarer outcome, Wilson with each model counted once, which is wide on purpose.",
    "ε holds for adding or removing one sentence. A canary that was planted R times is a group of "
    "R sentences: its bound is the group ε, which is much weaker. At one noise level the ε of one "
    "sentence differs a little between R: planted sentences change the size of the training set. "
    "Of models that are shown together the largest ε is given.",
    "The seeds of these targets are public, so that the run can be repeated. Whoever knows a seed "
    "can compute the noise: ε is what the same training with a secret seed promises.",
    "Choices made by looking at the private data, such as tuning of epochs, clip norm or learning "
    "rate, are not in ε.",
    "An under-trained model leaks little because it memorised little, whatever its defense. Read "
    "every rate beside the test accuracy of the same models and the majority floor.",
    "What an attack did not find may still be there: these rates are lower bounds on leakage under "
    "this threat model, and ε is an upper bound. The truth lies between.",
    "Secrets are synthetic and targets are one's own. No real person's data is shown here.",
)
