"""What `kleidi hsm check` prints."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from appliance import screen
from appliance.documents import Document


@dataclass(frozen=True)
class Finding:
    """What somebody should mend or know."""

    id: Annotated[str, "the fault's stable id, see errors.md"]
    message: Annotated[str, "what is wrong, in a sentence that belongs to the id"]
    remedy: Annotated[str, "what to do"]
    detail: Annotated[str, "which, why, how much; empty when there is nothing to add"]


@dataclass(frozen=True)
class Checked(Document):
    """What the token of a hardware module can do for us; tried on keys that are gone again."""

    schema: ClassVar[str] = "kleidi.hsm-check/v1"
    printed_by: ClassVar[str] = "kleidi hsm check"

    exit: Annotated[int, "the exit code"]
    module: Annotated[str, "the library's file"]
    library: Annotated[str, "what it says it is; empty when it was not asked, as is all below"]
    serial: Annotated[str, "the token's"]
    label: Annotated[str, "the token's"]
    model: Annotated[str, "the token's"]
    max_sessions: Annotated[int, "how many the token allows; 0 when it sets no limit or does not tell"]
    login: Annotated[bool, "whether the PIN was taken, or none is wanted"]
    serves: Annotated[list[str], "engine where keys of ours can be in it, slot where it can open the seal"]
    nonces: Annotated[str, "who makes them for AES-GCM: ours or module; none where it does not work"]
    oaep: Annotated[str, "the hash for RSA-OAEP: sha256 or sha1; none where it does not work"]
    loose: Annotated[list[str], "attributes of a key that are otherwise than was asked for"]
    unknown: Annotated[list[str], "attributes of a key of which the token says nothing"]
    findings: Annotated[list[Finding], "what should be mended or known"] = field(default_factory=list)

    def to_text(self, columns: int = screen.ENDLESS) -> str:
        shown = [
            ("module", self.module),
            ("library", self.library),
            ("token", f'"{self.label}" serial {self.serial} {self.model}'.rstrip() if self.model else ""),
            ("sessions", str(self.max_sessions or "no limit known")),
            ("login", "yes" if self.login else "no"),
            (
                "AES-GCM",
                {"ours": "yes, nonces ours", "module": "yes, nonces the module's"}.get(self.nonces, "no"),
            ),
            ("RSA-OAEP", {"sha256": "yes, SHA-256", "sha1": "yes, SHA-1"}.get(self.oaep, "no")),
            ("serves", " and ".join(self.serves) or "nothing"),
            ("loose", ", ".join(self.loose) or "nothing"),
            ("not told", ", ".join(self.unknown) or "nothing"),
        ]
        told = [
            f"{each.id}: {each.message}. {each.remedy}." + (f" ({each.detail})" if each.detail else "")
            for each in self.findings
        ]
        rows = [(name, screen.safe(words_) or "-") for name, words_ in shown]
        return "\n".join(
            [*screen.rows(rows, columns), screen.wrapped(map(screen.safe, told), columns)]
        ).rstrip()
