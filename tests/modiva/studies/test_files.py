"""A study file says what the flags of `modiva audit` say, and nothing else."""

import pytest

from modiva.errors import ModivaError
from modiva.studies import AuditSpec, load_study


def _study(tmp_path, text):
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return path


def test_a_file_is_the_audit_of_its_settings(tmp_path):
    path = _study(
        tmp_path,
        "target: [cnn, transformer]\nnoise: 0\nrepetitions: [1, 10]\nmodels: 3\nepochs: null\n"
        "share_valid: true\nsize: full\n",
    )
    assert load_study(path) == AuditSpec(
        target=("cnn", "transformer"), noise=(0.0,), repetitions=(1, 10), models=3, epochs=None,
        share_valid=True, size="full",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "must map"),
        ("- cnn\n", "must map"),
        ("colour: red\n", "colour"),
        ("models: many\n", "'many'"),
        ("models: yes\n", "True"),
        ("models: 2.5\n", "2.5"),
        ("repetitions: [1, ten]\n", "'ten'"),
        ("size: huge\n", "small, full"),
        ("share_valid: 1\n", "true or false"),
        ("target: [cnn\n", "not a YAML"),
        ("target: !!python/object/apply:os.system ['true']\n", "not a YAML"),
        ("models: 0\n", "--models 0"),
    ],
)
def test_what_is_not_a_setting_is_refused(tmp_path, text, named):
    with pytest.raises(ModivaError, match=named):
        load_study(_study(tmp_path, text))


def test_bytes_that_are_not_text_are_refused(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_bytes(b"target: \xff\xfe")
    with pytest.raises(ModivaError, match="not a YAML"):
        load_study(path)
