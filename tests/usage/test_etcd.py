"""Reading etcd page by page: everything of one moment, or a fault."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import grpc
import pytest

from appliance import faults
from appliance.faults import Fault, KleidiError
from appliance.usage import etcd
from appliance.usage.counting import count
from appliance.usage.endpoint import Identity
from appliance.usage.etcd import FIRST_LIMIT, Etcd
from appliance.usage.tally import Tally
from tests.usage.authority import Authority
from tests.usage.kv import Answer, Store, served
from tests.usage.values import KEY_ID, PLAIN, kms_v2

NOBODY = "http://127.0.0.1:1"
SECRETS = 5 * FIRST_LIMIT
PATIENCE_SECONDS = 30


@pytest.fixture
def store() -> Store:
    objects = {b"/registry/secrets/default/%06d" % number: kms_v2() for number in range(SECRETS)}
    outside = {b"/registry2/secrets/default/one": kms_v2(), b"/registr": PLAIN, b"compact_rev_key": b"1"}
    return Store({**objects, **outside, b"/registry/namespaces/default": PLAIN})


@pytest.fixture
def address(store: Store) -> Iterator[str]:
    with served(store) as address:
        yield address


def counted(*endpoints: str, identity: Identity | None = None, seconds: float = 20) -> Tally:
    return count(Etcd(endpoints, identity or Identity(), "/registry", seconds=seconds), "/registry")


def refusal(*endpoints: str, seconds: float = 20) -> tuple[Fault, str]:
    with pytest.raises(KleidiError) as caught:
        counted(*endpoints, seconds=seconds)
    assert len(str(caught.value).splitlines()) == 1
    return caught.value.fault, caught.value.detail


def test_counts_everything_under_the_prefix_and_nothing_beside_it(store: Store, address: str) -> None:
    tally = counted(address)
    assert (tally.objects, tally.objects_under(KEY_ID)) == (SECRETS + 1, SECRETS)
    assert tally.complete
    assert len(store.requests) > 2


def test_every_page_is_read_at_the_first_ones_revision(store: Store, address: str) -> None:
    assert counted(address).revision == 101
    assert [request.revision for request in store.requests] == [0, *[101] * (len(store.requests) - 1)]


def test_an_endpoint_that_is_down_is_passed_over(address: str) -> None:
    assert counted(NOBODY, address).complete


def test_no_endpoint_at_all() -> None:
    assert refusal(NOBODY, "http://127.0.0.1:2")[0] is faults.ETCD_UNREACHABLE
    assert refusal()[0] is faults.CONFIG


def failing(
    code: grpc.StatusCode, words: str, after: int
) -> Callable[[Answer, grpc.ServicerContext], Answer]:
    """Pages as they are, until *after* of them were given."""
    given = 0

    def disturb(page: Answer, context: grpc.ServicerContext) -> Answer:
        nonlocal given
        if given == after:
            context.abort(code, words)
        given += 1
        return page

    return disturb


Refused = tuple[grpc.StatusCode, str, int]
COMPACTED = "etcdserver: mvcc: required revision has been compacted"


@pytest.mark.parametrize(
    ("refused", "fault"),
    [
        ((grpc.StatusCode.OUT_OF_RANGE, COMPACTED, 2), faults.ETCD_COMPACTED),
        ((grpc.StatusCode.OUT_OF_RANGE, "etcdserver: mvcc: future", 2), faults.ETCD_INCOMPLETE),
        ((grpc.StatusCode.UNAVAILABLE, "etcdserver: leader changed", 0), faults.ETCD_UNREACHABLE),
        ((grpc.StatusCode.UNAVAILABLE, "etcdserver: leader changed", 2), faults.ETCD_INCOMPLETE),
        ((grpc.StatusCode.PERMISSION_DENIED, "etcdserver: permission denied", 0), faults.ETCD_DENIED),
        ((grpc.StatusCode.INVALID_ARGUMENT, "etcdserver: user name is empty", 0), faults.ETCD_DENIED),
        ((grpc.StatusCode.UNIMPLEMENTED, "no such service", 0), faults.ETCD_UNREACHABLE),
        ((grpc.StatusCode.RESOURCE_EXHAUSTED, "too many requests", 0), faults.ETCD_UNREACHABLE),
        ((grpc.StatusCode.UNKNOWN, "a bug", 1), faults.ETCD_INCOMPLETE),
    ],
)
def test_what_etcd_refuses_has_its_fault(store: Store, address: str, refused: Refused, fault: Fault) -> None:
    store.disturb = failing(*refused)
    assert refusal(address)[0] is fault


def test_an_etcd_that_does_not_answer_in_time(store: Store, address: str) -> None:
    def slow(page: Answer, context: grpc.ServicerContext) -> Answer:
        given_up = threading.Event()
        if context.add_callback(given_up.set):
            given_up.wait(PATIENCE_SECONDS)
        return page

    store.disturb = slow
    assert refusal(address, seconds=0.2)[0] is faults.ETCD_UNREACHABLE


def test_a_member_that_goes_away_half_way_is_replaced_by_another(store: Store, address: str) -> None:
    store.disturb = failing(grpc.StatusCode.UNAVAILABLE, "etcdserver: server stopped", 1)
    other = Store(store.objects)
    with served(other) as second:
        tally = counted(address, second)
    assert (tally.objects, tally.revision) == (SECRETS + 1, 101)
    assert {request.revision for request in other.requests} == {101}


def test_another_cluster_is_not_read_on_with(store: Store, address: str) -> None:
    def turned(page: Answer, _context: grpc.ServicerContext) -> Answer:
        page.header.cluster_id = 1 + (len(store.requests) > 1)
        return page

    store.disturb = turned
    assert refusal(address) == (faults.ETCD_INCOMPLETE, "the endpoints belong to different clusters")


def _shuffled(page: Answer) -> None:
    page.kvs[0].key, page.kvs[1].key = page.kvs[1].key, page.kvs[0].key


def _from_the_start(page: Answer) -> None:
    page.kvs[0].key = b"/registry/namespaces/default"


def _emptied(page: Answer) -> None:
    del page.kvs[:]


def _cut(page: Answer) -> None:
    page.more = False


def _shortened(page: Answer) -> None:
    del page.kvs[0]


@pytest.mark.parametrize("damage", [_shuffled, _from_the_start, _emptied, _cut, _shortened])
def test_a_page_that_is_not_whole_is_no_count(
    store: Store, address: str, damage: Callable[[Answer], None]
) -> None:
    def disturb(page: Answer, _context: grpc.ServicerContext) -> Answer:
        if len(store.requests) == 2:
            damage(page)
        return page

    store.disturb = disturb
    assert refusal(address)[0] is faults.ETCD_INCOMPLETE


def test_nothing_under_the_prefix(store: Store, address: str) -> None:
    store.objects = {b"/elsewhere/secrets/default/one": PLAIN}
    assert refusal(address) == (faults.ETCD_EMPTY, "/registry")


def test_pages_shrink_for_large_values(store: Store, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd, "_OPTIONS", [("grpc.max_receive_message_length", 1 << 20)])
    large = kms_v2(data=bytes(100_000))
    store.objects = {b"/registry/secrets/default/%06d" % number: large for number in range(FIRST_LIMIT)}

    assert counted(address).objects_under(KEY_ID) == FIRST_LIMIT
    assert store.requests[0].limit == FIRST_LIMIT
    assert store.requests[-1].limit < 11


def test_a_value_larger_than_any_page_is_no_count(
    store: Store, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(etcd, "_OPTIONS", [("grpc.max_receive_message_length", 1 << 20)])
    store.objects[b"/registry/secrets/default/999999"] = bytes(2 << 20)
    fault, words = refusal(address)
    assert fault is faults.ETCD_INCOMPLETE
    assert "larger than max" in words


def test_reads_with_a_client_certificate(store: Store, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "etcd-ca")
    with served(store, authority.issue("server")) as address:
        assert counted(address, identity=authority.issue("client")).complete


def test_a_reading_given_up_half_way_does_not_wait_for_the_page_on_its_way(
    store: Store, address: str
) -> None:
    go_on, arrived = threading.Event(), threading.Event()

    def slow(page: Answer, _context: grpc.ServicerContext) -> Answer:
        if len(store.requests) > 1:
            go_on.wait(PATIENCE_SECONDS)
            arrived.set()
        return page

    store.disturb = slow
    with closing(Etcd([address], Identity(), "/registry").objects()) as objects:
        next(objects)
    assert not arrived.is_set()
    go_on.set()
