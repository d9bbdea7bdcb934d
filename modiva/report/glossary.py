"""The report's texts on the threat model, and notes."""

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
