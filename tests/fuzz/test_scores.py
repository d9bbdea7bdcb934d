"""Ledgers, reconstructions and rankers that are damaged."""

import json
import shutil

from hypothesis import given
from hypothesis import strategies as st

from .mutations import byte_strings, json_texts
from .oracle import empty_folder, fuzzed, modiva


@fuzzed(60)
@given(st.data())
def test_score_reads_a_damaged_ledger_or_reconstruction_or_refuses_it(made, data):
    files = {name: (made / name).read_bytes() for name in ("target.ledger.json", "found.json")}
    chosen = data.draw(st.sampled_from(sorted(files)))
    files[chosen] = data.draw(json_texts(json.loads(files[chosen])))
    known = data.draw(st.sampled_from([("--ledger", None), ("--secret", "1 2 3 4")]))
    also = data.draw(st.sampled_from([(), (), ("--checkpoint", made / "target")]))
    with empty_folder() as folder:
        for name, content in files.items():
            (folder / name).write_bytes(content)
        told = (known[0], known[1] or folder / "target.ledger.json")
        modiva("score", folder / "found.json", *told, *also)


@fuzzed(25)
@given(st.data())
def test_a_damaged_ranker_ranks_or_is_refused(made, data):
    chosen = data.draw(st.sampled_from(["ranker.json", "ranker.json", "usual.safetensors"]))
    content = (made / "ranker" / chosen).read_bytes()
    if chosen == "ranker.json":
        content = data.draw(json_texts(json.loads(content)))
    else:
        content = data.draw(byte_strings(content))
    with empty_folder() as folder:
        shutil.copytree(made / "ranker", folder / "ranker")
        (folder / "ranker" / chosen).write_bytes(content)
        modiva("ranker", "show", folder / "ranker")
        ask = ["--slots", "digit*4", "--prefix", "call", "--label", "open", "--decoys", "20"]
        modiva("attack", made / "target", *ask, "--ranker", folder / "ranker")
