"""Another plugin's token, as an operator brought it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from appliance import faults
from appliance.faults import KleidiError

# SoftHSM's own names: a directory of the token's, flat files in it.
FILE_NAME = re.compile(r"[0-9A-Za-z-]{1,64}/[0-9A-Za-z-][0-9A-Za-z.-]{0,63}")


@dataclass(frozen=True)
class FoundToken:
    files: Mapping[str, bytes] = field(repr=False)
    pin: str = field(repr=False)
    token_label: str
    key_label: str

    def __post_init__(self) -> None:
        """Names come from outside: nothing may be laid out beside where it belongs."""
        if not self.pin:
            raise KleidiError(faults.TOKEN_NOT_ADOPTED, "there is no PIN")
        for name in self.files:
            if not FILE_NAME.fullmatch(name):
                raise KleidiError(faults.TOKEN_NOT_ADOPTED, f"{name} is not how SoftHSM names its files")
