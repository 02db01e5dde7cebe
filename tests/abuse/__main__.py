"""`python -m tests.abuse`: every attack at its full size, and a table; then h2spec's cases."""

import argparse
import platform
import sys
import tempfile
from os import cpu_count, getloadavg
from pathlib import Path

from appliance.service.transports import GRPCIO, NGHTTP2
from tests.abuse import h2spec
from tests.abuse.arena import TITLE, Arena
from tests.abuse.attacks import ATTACKS

_TIMES = 10_000
_KNOWN = {
    (
        GRPCIO,
        "damaged frames",
    ): "grpc.aio gives up on a method's name that is no UTF-8, until the path is made anew",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="make abuse", description=__doc__)
    parser.add_argument("--transport", choices=[NGHTTP2, GRPCIO], default=NGHTTP2)
    parser.add_argument("--h2spec", type=Path, help="the program; without it its cases are left out")
    parser.add_argument("--times", type=int, default=_TIMES)
    parser.add_argument(
        "only", nargs="*", help="attacks by the beginning of their names; all of them by default"
    )
    options = parser.parse_args()
    print(f"{platform.machine()}, {cpu_count()} cores, load {getloadavg()[0]:.1f}, {options.transport}\n")
    broken = False
    with tempfile.TemporaryDirectory() as scratch, Arena(Path(scratch), options.transport) as arena:
        print(TITLE)
        for name in ATTACKS:
            if options.only and not name.startswith(tuple(options.only)):
                continue
            try:
                print(arena.bear(name, options.times), flush=True)
            except AssertionError as why:
                known = _KNOWN.get((options.transport, name))
                broken = broken or not known
                first, *_ = str(why).splitlines()
                print(f"| {name} | NOT BORNE: {known or first} | | | |", flush=True)
        if options.h2spec:
            print("", *h2spec.table(options.h2spec, arena.socket), sep="\n")
    sys.exit(broken)


if __name__ == "__main__":
    main()
