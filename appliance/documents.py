"""What the command line prints with `--output json`: each document has one schema and one class.

Fields may be added, never changed or taken away. docs/json.md is made from the classes.
"""

import json
from dataclasses import asdict, dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Document:
    """Its fields are the document's, each with its meaning as `Annotated` metadata."""

    schema: ClassVar[str]
    # What prints it, for people to read.
    printed_by: ClassVar[str]

    def to_json(self) -> str:
        return json.dumps({"schema": self.schema, **asdict(self)}, indent=2)
