"""Many objects, many writers, many data keys."""

from concurrent.futures import ThreadPoolExecutor

from tests.conformance.encryption import Kms
from tests.conformance.etcd import Etcd
from tests.conformance.secretserver import SecretServer
from tests.conformance.stage import Stage

EVERY_ENGINE = True

OBJECTS = 300
WRITERS = 8
SEEDS = 1000
READERS = 64


def test_three_hundred_secrets_are_read_back_by_a_fresh_api_server(stage: Stage, kms: Kms) -> None:
    expected = {f"secret-{number}": f"value-{number}" for number in range(OBJECTS)}
    server = stage.apiserver(kms)
    for name, value in expected.items():
        server.create_secret(name, value)

    assert server.secrets() == expected
    assert stage.apiserver(kms).secrets() == expected


def test_concurrent_writers_do_not_disturb_each_other(stage: Stage, kms: Kms) -> None:
    servers = [stage.apiserver(kms), stage.apiserver(kms)]

    def write(writer: int) -> dict[str, str]:
        server = servers[writer % len(servers)]
        written = {}
        for number in range(20):
            name = f"writer-{writer}-{number}"
            server.create_secret(name, "first")
            written[name] = f"value-{writer}-{number}"
            server.replace_secret(name, written[name])
        return written

    expected: dict[str, str] = {}
    with ThreadPoolExecutor(WRITERS) as pool:
        for written in pool.map(write, range(WRITERS)):
            expected.update(written)

    assert [server.secrets() for server in servers] == [expected, expected]


def test_a_cold_api_server_reads_a_thousand_secrets_with_a_seed_each(
    stage: Stage, kms: Kms, secretserver: SecretServer, etcd: Etcd
) -> None:
    secretserver.seeds(etcd.url, stage.prefix, provider=kms.name, endpoint=kms.endpoint, count=SEEDS)

    server = stage.apiserver(kms)

    assert server.secrets() == {name: name for name in (f"seed-{number:04}" for number in range(SEEDS))}
    # The seeds and the server's own: each was opened by us, none was guessed.
    assert server.metric("apiserver_envelope_encryption_dek_source_cache_size") >= SEEDS
    assert server.metric("apiserver_storage_envelope_transformation_cache_misses_total") >= SEEDS


def test_a_cold_burst_of_parallel_reads_is_served_whole(
    stage: Stage, kms: Kms, secretserver: SecretServer, etcd: Etcd
) -> None:
    names = [f"seed-{number:04}" for number in range(READERS)]
    secretserver.seeds(etcd.url, stage.prefix, provider=kms.name, endpoint=kms.endpoint, count=READERS)
    # Without a watch cache every read of an unknown seed is a Decrypt of its own, also of one just asked for.
    server = stage.apiserver(kms, watch_cache=False)

    with ThreadPoolExecutor(READERS) as pool:
        assert list(pool.map(server.secret, names + names)) == names + names
