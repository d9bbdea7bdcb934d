"""The same study on a Ray cluster of two nodes on this machine, with losses in the middle."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import synthetic

from modiva.errors import ModivaError
from modiva.studies import AuditSpec, EngineSettings, run_study

pytestmark = pytest.mark.xdist_group("ray")  # one cluster a machine

CELLS = 24


@pytest.fixture(scope="module")
def cluster():
    ray = pytest.importorskip("ray", reason="needs the extra ray")
    from ray.cluster_utils import Cluster

    # Workers of both nodes import the code of this tree, and the synthetic steps.
    paths = [str(Path(__file__).parent), *filter(None, sys.path)]
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    memory = 80 * 1024 * 1024
    made = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 1,
            "object_store_memory": memory,
            "include_dashboard": False,
            # A lost node is noticed in seconds, not in half a minute.
            "_system_config": {"health_check_failure_threshold": 2, "health_check_period_ms": 500},
        },
    )
    made.second = made.add_node(num_cpus=1, object_store_memory=memory)
    made.wait_for_nodes()
    yield made
    ray.shutdown()
    made.shutdown()
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


def _engine(cluster):
    return EngineSettings(name="ray", address=cluster.address)


def _lose_a_worker_then_a_node(cluster, out, losses):
    """Once rows come in, kill a process that computes; some rows later, a whole node."""

    def records():
        return len(list((out / "steps").glob("*/*.json")))

    def wait_for(count):
        deadline = time.monotonic() + 60
        while records() < count and time.monotonic() < deadline:
            time.sleep(0.02)

    wait_for(4)
    found = subprocess.run(["pgrep", "-f", "ray::perform_remote"], capture_output=True, text=True)
    for pid in found.stdout.split()[:1]:
        os.kill(int(pid), signal.SIGKILL)
        losses.append("worker")
    wait_for(12)
    cluster.remove_node(cluster.second, allow_graceful=False)
    losses.append(f"node at {records()} steps")


@pytest.mark.slow
def test_a_real_cell_on_ray_has_the_rows_of_the_local_engine(cluster, tmp_path):
    spec = AuditSpec(
        target=("cnn",), pattern=("call:3",), repetitions=(20,), noise=(0.0,), models=2,
        sentences=150, epochs=2, attack=("coordinate",), controls=1,
    )  # fmt: skip
    on_ray = run_study(spec, tmp_path / "ray", _engine(cluster), device="cpu", progress=False)
    local = run_study(spec, tmp_path / "local", EngineSettings(), device="cpu", progress=False)
    assert not on_ray.failed
    assert on_ray.frame().drop(columns="seconds").equals(local.frame().drop(columns="seconds"))


@pytest.mark.slow
def test_a_lost_worker_and_a_lost_node_cost_no_rows(cluster, tmp_path):
    out, losses = tmp_path / "ray", []
    thief = threading.Thread(target=_lose_a_worker_then_a_node, args=(cluster, out, losses))
    thief.start()
    plans = synthetic.Plans(CELLS, work=0.1)
    result = synthetic.run_plan(plans, out, _engine(cluster), progress=False)
    thief.join()
    assert losses[0] == "worker"
    assert int(losses[1].split()[2]) < 3 * CELLS  # in the middle
    assert not result.failed
    local = synthetic.run(tmp_path / "local", CELLS)
    assert result.frame().equals(local.frame())
    assert {p.name for p in (out / "scratch").iterdir()} == set()


def test_no_cluster_is_said(tmp_path):
    pytest.importorskip("ray", reason="needs the extra ray")
    from modiva.studies.engines.ray import unpack

    for address in ("127.0.0.1:1", "nowhere:port"):
        settings = EngineSettings(name="ray", address=address)
        with pytest.raises(ModivaError, match="no Ray cluster"):
            synthetic.run_plan(synthetic.Plans(1), tmp_path / "out", settings, progress=False)
    with pytest.raises(ModivaError, match="leads out"):
        unpack({"../evil": b""}, tmp_path)
