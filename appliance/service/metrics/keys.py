"""Each key under the name that the API server's metrics have for it, with what the ledger counts of it."""

from collections.abc import Iterator

from appliance import key_hash
from appliance.keys.keyset import Key, KeyState
from appliance.service.metrics import table
from appliance.service.metrics.moment import Moment
from appliance.service.metrics.table import Sample
from appliance.volume.ledger import Ledger


def samples(moment: Moment, ledger: Ledger) -> Iterator[Sample]:
    keyset = moment.standing.keyset
    for key in keyset.keys if keyset else ():
        if key.state is not KeyState.DESTROYED:
            yield from _key(key, moment, ledger)


def _key(key: Key, moment: Moment, ledger: Ledger) -> Iterator[Sample]:
    digest, use = key_hash.digest(key.id), ledger.use(key.id)
    adopted = str(key.adopted is not None).lower()
    yield Sample(table.KEY_INFO, 1, (digest, key.name, key.state, adopted))
    yield Sample(table.KEY_ENCRYPTS, use.wrapped, (digest,))
    yield Sample(table.KEY_DECRYPTS, use.unwrapped, (digest,))
    last = moment.now - (ledger.served - use.last_unwrapped) if use.unwrapped else 0
    yield Sample(table.KEY_LAST_DECRYPT, last, (digest,))
    yield Sample(table.KEY_STATE_SINCE, key.since.unix, (digest,))
    if key.state.decrypts:
        yield Sample(table.KEY_READABLE, key.id not in moment.unusable, (digest,))
