"""What `kleidi usage` counts is handed to the server, and told at a scrape by the API server's own hashes."""

import os
import subprocess
from pathlib import Path

from appliance.client import admin
from appliance.key_hash import digest
from appliance.service.metrics.stored import MOST_KEYS, MOST_RESOURCES, OTHER, Counted, StoredObjects
from tests.rig import BIN
from tests.service.running import Running
from tests.telemetry.scraped import Scraped

# Of a cluster with a value of each form.
DOCUMENT = Path(__file__).parents[1] / "usage" / "prefix.json"
STORED, COUNTED = "kleidi_stored_objects", "kleidi_stored_counted_timestamp_seconds"


def told(running: Running) -> dict[tuple[str, str], float]:
    found = Scraped.of(running.scene.health).of_name(STORED)
    return {(labels["resource"], labels["key_id_hash"]): value for labels, value in found}


def test_a_count_takes_the_place_of_the_one_before(running: Running) -> None:
    scene = running.scene
    assert Scraped.of(scene.health).value(COUNTED) is None
    key_id = scene.key().id
    admin.counted(scene.admin, {("secrets", key_id, True): 7, ("pods", "", False): 3, ("pods", "", True): 2})
    assert told(running) == {("secrets", digest(key_id)): 7, ("pods", ""): 3, ("pods", OTHER): 2}
    assert (Scraped.of(scene.health).value(COUNTED) or 0) > 1e9
    admin.counted(scene.admin, {("secrets", key_id, True): 8})
    assert told(running) == {("secrets", digest(key_id)): 8}


def test_whatever_is_in_etcd_the_names_are_bounded_and_no_object_is_lost() -> None:
    stored = StoredObjects()
    rows = [Counted(f"r{number}", f"key {number % 500}", True, number) for number in range(1, 2001)]
    stored.take(rows)
    samples = [sample for sample in stored.samples() if sample.metric.name == STORED]
    resources, keys = ({sample.labels[at] for sample in samples} for at in (0, 1))
    assert len(resources) == MOST_RESOURCES + 1
    assert len(keys) <= MOST_KEYS + 1
    assert {OTHER, "r2000"} <= resources
    assert OTHER in keys
    assert sum(sample.value for sample in samples if isinstance(sample.value, int)) == sum(range(1, 2001))


def test_the_command_hands_a_whole_cluster_over_and_no_part_of_one(running: Running) -> None:
    def usage(*arguments: str) -> None:
        command = [str(BIN / "kleidi"), "usage", "--from-etcdctl", str(DOCUMENT), *arguments]
        environment = {**os.environ, "KLEIDI_ADMIN_SOCKET": str(running.scene.admin)}
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)

    usage("--prefix", "/kubernetes.io/secrets")
    assert told(running) == {}
    usage("--prefix", "/kubernetes.io")
    found = told(running)
    assert found
    assert {"namespaces"} <= {resource for resource, _ in found}
    assert all(under in ("", OTHER) or under.startswith("sha256:") for _, under in found)
