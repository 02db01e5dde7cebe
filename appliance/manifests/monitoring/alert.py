"""What an alert is: when it fires, whether it wakes somebody, what it tells and what is to be done."""

from dataclasses import dataclass
from enum import StrEnum

from appliance.faults import Fault

# Beside the pages of this version; whoever publishes them puts an address in front.
PAGES = "docs"
PAGE = f"{PAGES}/monitoring.md"


class Severity(StrEnum):
    """Who is to hear of it, and when."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


MEANING = {
    Severity.CRITICAL: "Wake somebody: Secrets cannot be read or written, or soon may not be.",
    Severity.WARNING: "Look today: all calls work, and a next step would hurt.",
    Severity.INFO: "Know of it: nothing is wrong, if it was meant.",
}


@dataclass(frozen=True)
class Alert:
    """*summary* may name labels; *tells* and *act* are sentences for the page as well and name none.

    *fault* is whose section of docs/errors.md says the rest; with *by_id* the label `id` says which one.
    """

    name: str
    severity: Severity
    expression: str
    summary: str
    tells: str
    act: str
    hold: str = ""
    fault: Fault | None = None
    by_id: bool = False

    @property
    def description(self) -> str:
        return f"{self.tells} {self.act}"

    @property
    def runbook(self) -> str:
        """Where the rest stands; forges make anchors of headings in lower case."""
        if self.by_id:
            return f"{PAGES}/errors.md#{{{{ $labels.id | toLower }}}}"
        if self.fault is not None:
            return f"{PAGES}/errors.md#{self.fault.id.lower()}"
        return f"{PAGE}#{self.name.lower()}"


@dataclass(frozen=True)
class Recording:
    """What is computed once for rules and dashboard, under a name of its own."""

    name: str
    expression: str
    tells: str
