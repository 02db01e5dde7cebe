"""What etcd holds, and who can read it."""

import hashlib
import secrets

from tests.conformance.encryption import Identity, Kms
from tests.conformance.stage import Stage

EVERY_ENGINE = True


def test_a_stored_secret_carries_our_prefix_and_key_id_and_not_its_plaintext(
    stage: Stage, kms: Kms, key_id: str
) -> None:
    value = secrets.token_hex()
    server = stage.apiserver(kms)
    server.create_secret("one", value)

    stored = server.stored("one")

    assert stored.startswith(b"k8s:enc:kms:v2:kleidi:")
    assert key_id.encode() in stored
    assert value.encode() not in stored
    assert server.secret("one") == value


def test_the_same_secret_without_us_is_plain_to_see(stage: Stage) -> None:
    value = secrets.token_hex()
    server = stage.apiserver(Identity())
    server.create_secret("one", value)

    assert value.encode() in server.stored("one")


def test_a_secret_can_be_replaced_and_deleted(stage: Stage, kms: Kms) -> None:
    server = stage.apiserver(kms)
    server.create_secret("one", "before")
    server.create_secret("two", "stays")

    server.replace_secret("one", "after")
    assert server.secrets() == {"one": "after", "two": "stays"}

    server.delete_secret("one")
    assert server.secrets() == {"two": "stays"}


def test_a_second_api_server_reads_what_the_first_wrote_and_the_other_way_round(
    stage: Stage, kms: Kms
) -> None:
    first = stage.apiserver(kms)
    first.create_secret("first", "one")
    second = stage.apiserver(kms)

    assert second.secret("first") == "one"
    second.create_secret("second", "two")
    assert first.secret("second") == "two"
    assert first.secrets() == second.secrets() == {"first": "one", "second": "two"}


def test_a_wildcard_encrypts_every_resource(stage: Stage, kms: Kms) -> None:
    value = secrets.token_hex()
    server = stage.apiserver(kms, resources=["*.*"])
    server.create_secret("one", value)
    server.create_configmap("one", value)

    for resource in ("secrets", "configmaps"):
        stored = server.stored("one", resource)
        assert stored.startswith(kms.prefix)
        assert value.encode() not in stored
    again = stage.apiserver(kms, resources=["*.*"])
    assert again.secret("one") == again.configmap("one") == value


def test_the_api_servers_metrics_name_the_hash_of_our_key_id(stage: Stage, kms: Kms, key_id: str) -> None:
    server = stage.apiserver(kms)
    server.create_secret("one", "value")
    assert server.secret("one") == "value"
    ours = f"sha256:{hashlib.sha256(key_id.encode()).hexdigest()}"
    total = "apiserver_envelope_encryption_key_id_hash_total"

    for direction in ("to_storage", "from_storage"):
        assert server.metric(total, transformation_type=direction, key_id_hash=ours) > 0
        # No other key id was ever seen.
        assert server.metric(total, transformation_type=direction) == server.metric(
            total, transformation_type=direction, key_id_hash=ours
        )
    assert server.metric("apiserver_envelope_encryption_invalid_key_id_from_status_total") == 0
