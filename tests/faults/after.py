"""What must hold after a disturbance, after the same command once more, and after a boot."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import grpc

from appliance.faults import Exit
from proto.kmsv2 import api_pb2
from tests.faults.acts import SEED, kleidi
from tests.faults.look import Seen, announced
from tests.faults.site import Site
from tests.faults.warm import Ended
from tests.faults.ways import ONE_LINE

# As the workshop keeps them, and one more when a change was cut off behind its commit.
MOST_GENERATIONS = 4
_OFF = ("disabled", "destroyed")
_TOLD = re.compile(r"\bis done\b|\bit is there\b")


@dataclass(frozen=True)
class Undisturbed:
    """What there is *before* a verb, and its *goals* when nothing gets in its way: done once, and once more.

    Each of *endings* is an exit code and an id; *tree* are the files after a boot.
    """

    before: Seen
    goals: tuple[Seen, ...]
    endings: tuple[str, ...]
    tree: dict[str, str]


def ending(ended: Ended) -> str:
    if ended.well:
        return "0"
    match = ONE_LINE.fullmatch(ended.said)
    return f"{ended.code} {match[1] if match else ended.said}".strip()


def lost(site: Site, seen: Seen, known: Undisturbed, earlier: Seen | None = None) -> Iterator[str]:
    """At any moment; *earlier* is what was seen before, by default before the verb."""
    earlier = earlier or known.before
    yield from seen.wrong
    if len(seen.lineages) > 1:
        yield f"more than one lineage: {', '.join(seen.lineages)}"
    if seen.generation < earlier.generation:
        yield f"generation {seen.generation} after {earlier.generation}"
    if gone := earlier.keys.keys() - seen.keys.keys():
        yield f"lost: {', '.join(sorted(gone))}"
    meant = {
        key_id
        for each in (known.before, *known.goals)
        for key_id, state in each.keys.items()
        if state in _OFF
    }
    if off := {key_id for key_id, state in seen.keys.items() if state in _OFF} - meant:
        yield f"switched off: {', '.join(sorted(off))}"
    audited = site.does(kleidi, "audit verify")
    if not audited.well:
        yield f"audit verify: {audited.said}"


def untold(site: Site, ended: Ended, seen: Seen, known: Undisturbed) -> Iterator[str]:
    """Whoever is told that it failed, although it is done, must be told that too."""
    bundles = {name for name in known.tree if name.endswith(".age")}
    done = (
        seen.generation >= known.goals[0].generation > known.before.generation
        and bundles <= site.tree().keys()
    )
    if done and ended.code not in (Exit.OK, Exit.DEGRADED) and not _TOLD.search(ended.out + ended.said):
        yield f"it is done and says only: {ended.said.strip()}"


def unfinished(again: Ended, seen: Seen, known: Undisturbed) -> Iterator[str]:
    """After the command was given once more."""
    if ending(again) not in known.endings:
        yield f"a second run ended with {again.code}: {again.said}"
    if seen.text not in [goal.text for goal in known.goals]:
        yield f"a second run came to {seen.text}"


def unswept(site: Site, seen: Seen) -> Iterator[str]:
    if left := site.leftovers():
        yield f"left: {', '.join(left)}"
    most = 1 if "destroyed" in seen.keys.values() else MOST_GENERATIONS
    if len(seen.generations) > most:
        yield f"generations {seen.generations}"
    if seen.lingering:
        yield f"destroyed, and still there: {', '.join(seen.lingering)}"


def unserved(site: Site, before: Seen) -> Iterator[str]:
    """During a boot of the real server: *before* is what it found."""
    with site.serves() as server:
        status = site.does(kleidi, "status")
        if not status.well:
            yield f"kleidi status ends with {status.code}: {status.out}"
        told = server.Status(api_pb2.StatusRequest())
        made = server.Encrypt(api_pb2.EncryptRequest(plaintext=SEED))
        primary = [key_id for key_id, state in before.keys.items() if state == "primary"]
        if [told.key_id] != primary or [made.key_id] != primary:
            yield f"it announces {told.key_id} and encrypts with {made.key_id}"
        for each in announced(site.root):
            request = api_pb2.DecryptRequest(ciphertext=each.envelope, key_id=each.key_id)
            try:
                answer = "" if server.Decrypt(request).plaintext == SEED else "other bytes"
            except grpc.RpcError as error:
                refused = error.code() is grpc.StatusCode.FAILED_PRECONDITION
                off = before.keys[each.key_id] in _OFF
                answer = "" if refused and off else str(error)
            if answer:
                yield f"{each.key_id}: the server answers {answer}"


def astray(site: Site, known: Undisturbed, may_lack: frozenset[str]) -> Iterator[str]:
    """In the end: the files are those that there would be anyway."""
    if differing := {name for name, _ in site.tree().items() ^ known.tree.items()} - may_lack:
        yield f"other files: {', '.join(sorted(differing))}"
