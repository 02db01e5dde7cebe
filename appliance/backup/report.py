"""What is told of bundles, for people and for programs."""

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Self

from appliance import screen
from appliance.backup.verify import Comparison, Examination
from appliance.documents import Document


@dataclass(frozen=True)
class _Told(Document):
    verb: ClassVar[str]

    file: Annotated[str, "the bundle, or where it was unpacked"]
    lineage: Annotated[str, "of the keys in it"]
    generation: Annotated[int, "of the volume that it was made from"]
    keyset: Annotated[str, "the hash of the key set in it"]

    def _what(self, *, dry_run: bool = False) -> str:
        what = f"{self.verb} {self.file}: lineage {self.lineage}, generation {self.generation}, "
        return ("would have " if dry_run else "") + what + f"key set {self.keyset}"


@dataclass(frozen=True)
class Created(_Told):
    """A bundle that was written."""

    schema: ClassVar[str] = "kleidi.backup-create/v1"
    printed_by: ClassVar[str] = "kleidi backup create"
    verb: ClassVar[str] = "created"

    dry_run: Annotated[bool, "whether nothing was written"] = False

    @property
    def well(self) -> bool:
        return True

    def to_text(self, columns: int = screen.ENDLESS) -> str:
        return screen.wrapped([self._what(dry_run=self.dry_run)], columns)


@dataclass(frozen=True)
class BundleKey:
    name: Annotated[str, "v1, v2, …"]
    key_id: Annotated[str, "what the API server stores beside each object"]
    state: Annotated[str, "the one it had when the bundle was made"]


@dataclass(frozen=True)
class _Opened(_Told):
    keys: Annotated[list[BundleKey], "all that it knows of, the destroyed ones too"]
    verified: Annotated[int, "how many keys were proved"]
    recorded: Annotated[
        bool | None,
        "whether this node's volume remembers that it was verified; null where that was not tried",
    ]

    needs: Annotated[
        dict[str, str], "what its keys need that is not in it, by the engine's name; empty of SoftHSM's"
    ]
    unproved: Annotated[dict[str, str], "engines that could not be asked whether their keys work, and why"]

    @classmethod
    def of(cls, file: str, found: Examination, recorded: bool | None, **more: Any) -> Self:  # noqa: ANN401
        header, keyset = found.header, found.payload.keyset
        keys = [BundleKey(key.name, key.id, str(key.state)) for key in keyset.keys]
        told = (header.lineage, header.generation, keyset.hash, keys, found.proved, recorded)
        return cls(file, *told, dict(found.needs), dict(found.unproved), **more)

    def _proved(self) -> list[str]:
        return [
            f"verified {self.verified} {'key' if self.verified == 1 else 'keys'}",
            *(f"opens nothing without {needed}" for needed in self.needs.values()),
            *(f"not verified: the keys of {engine} ({why})" for engine, why in self.unproved.items()),
        ]


@dataclass(frozen=True)
class Examined(_Opened):
    """A bundle that was opened in memory, each of its keys proved."""

    schema: ClassVar[str] = "kleidi.backup-verify/v1"
    printed_by: ClassVar[str] = "kleidi backup verify · drill"
    verb: ClassVar[str] = "verified"

    live: Annotated[Comparison | None, "beside the keys that there are; null when nobody asked"] = None
    stored: Annotated[dict[str, int] | None, "stored objects by key id; null when nobody counted"] = None
    missing: Annotated[dict[str, int] | None, "of those, the ones whose key is not in the bundle"] = None
    remarks: Annotated[list[str], "what else there is to say"] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """Whether it could bring back everything it was held against."""
        return (
            not self.missing and not self.unproved and (self.live is None or self.live.verdict == "MATCHES")
        )

    def to_text(self, columns: int = screen.ENDLESS) -> str:
        lines = [self._what(), *self._proved()]
        if self.live:
            lines.append(self.live.to_text())
        if self.stored is not None and self.missing is not None:
            total, lost = sum(self.stored.values()), sum(self.missing.values())
            lines.append(
                f"opens {total - lost:,} of {total:,} objects stored under keys of a KMS v2 provider"
            )
            lines += [f"  lacks {key_id}: {count:,} objects" for key_id, count in self.missing.items()]
        return screen.wrapped([*lines, *self.remarks], columns)


@dataclass(frozen=True)
class Restored(_Opened):
    """A bundle that a volume was brought back from, or that was unpacked aside."""

    schema: ClassVar[str] = "kleidi.backup-restore/v1"
    printed_by: ClassVar[str] = "kleidi backup restore"
    verb: ClassVar[str] = "restored"

    aside: Annotated[bool, "whether it was only unpacked, to look at"] = False
    warnings: Annotated[list[str], "what does not fit what this node remembers"] = field(default_factory=list)
    dry_run: Annotated[bool, "whether nothing was done"] = False

    @property
    def well(self) -> bool:
        """Whether nothing speaks against what was brought back."""
        return not self.warnings

    def to_text(self, columns: int = screen.ENDLESS) -> str:
        what = self._what(dry_run=self.dry_run)
        if self.aside:
            what = what.replace(self.verb, "unpacked", 1)
        return screen.wrapped([what, *self._proved(), *self.warnings], columns)
