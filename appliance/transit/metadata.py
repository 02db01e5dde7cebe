"""What Transit tells of a key: whether it is fit to hold secrets, and what may trouble somebody one day."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from appliance import faults
from appliance.faults import Fault
from appliance.transit.answers import CallError, Outcome

TYPE = "aes256-gcm96"
_UNFIT = ("derived", "convergent_encryption", "exportable", "allow_plaintext_backup", "soft_deleted")


@dataclass(frozen=True)
class Metadata:
    """*unfit* are the reasons for which the key is refused; minima are at least 1."""

    latest: int
    min_decryption: int
    min_encryption: int
    unfit: tuple[str, ...]
    deletable: bool
    auto_rotate: bool
    restored: bool
    imported: bool
    soft_deleted: bool

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> "Metadata":
        """Raises CallError of SHAPE."""
        numbers = [data.get(name, 0) for name in ("latest_version", "min_decryption_version")]
        numbers += [data.get("min_encryption_version", 0), data.get("min_available_version", 0)]
        if any(type(each) is not int or each < 0 for each in numbers) or not numbers[0]:
            raise CallError(Outcome.SHAPE, "not a key's metadata")
        latest, decryption, encryption, available = numbers
        kind = data.get("type")
        unfit = [f"type {kind}" if isinstance(kind, str) and kind.isprintable() else "no type"]
        unfit = [] if kind == TYPE else unfit[:1]
        unfit += [name for name in _UNFIT if data.get(name)]
        return cls(
            latest,
            max(1, decryption, available),
            max(1, encryption),
            tuple(unfit),
            deletable=bool(data.get("deletion_allowed")),
            # A number of seconds, or text like 0s.
            auto_rotate=str(data.get("auto_rotate_period") or 0).strip("0smh") != "",
            restored=bool(data.get("restore_info")),
            imported=bool(data.get("imported_key")),
            soft_deleted=bool(data.get("soft_deleted")),
        )

    @property
    def lowest_named(self) -> int:
        """The lowest version that HMAC takes."""
        return max(self.min_decryption, self.min_encryption)

    def warnings(self) -> Iterator[tuple[Fault, str]]:
        """What does not depend on the versions that we hold."""
        if self.deletable:
            yield faults.TRANSIT_DELETABLE, "deletion_allowed"
        if self.auto_rotate:
            yield faults.TRANSIT_AUTO_ROTATE, "auto_rotate_period"
        if self.restored:
            yield faults.TRANSIT_RESTORED, "restore_info"
        if self.imported:
            yield faults.TRANSIT_IMPORTED, "imported_key"
