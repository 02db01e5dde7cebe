"""The options that say which engine a node is for, and where that is: of `install` and of `manifests`."""

from collections.abc import Mapping
from typing import Annotated

import typer

from appliance import faults
from appliance.faults import KleidiError
from appliance.manifests.engines import Auth, Engine, EngineName, Pkcs11, Transit

Chosen = Annotated[
    EngineName | None,
    typer.Option("--engine", help="What makes new keys; by default SoftHSM, in the pod."),
]
Addresses = Annotated[
    list[str] | None,
    typer.Option("--transit-address", metavar="URL", help="A Transit server, https://; name every one."),
]
Login = Annotated[
    Auth | None, typer.Option("--transit-auth", help="How this node logs in to Transit; by default approle.")
]
Module = Annotated[
    str | None, typer.Option("--pkcs11-module", metavar="FILE", help="The vendor's library on this node.")
]
Token = Annotated[
    str | None,
    typer.Option("--pkcs11-token", metavar="NAMES", help="Which token: serial=…, label=…, or both with ;."),
]
Directories = Annotated[
    list[str] | None,
    typer.Option(
        "--pkcs11-directory",
        metavar="DIR",
        help="What else of the node the library needs: shown to it read-only, as the library's own is.",
    ),
]


def engine_of(
    chosen: EngineName | None,
    *,
    addresses: list[str] | None,
    auth: Auth | None,
    module: str | None,
    token: str | None,
    directories: list[str] | None,
) -> Engine:
    """Raises E-INSTALL-VALUE, and E-COMMAND-LINE for an option that is another engine's."""
    _refuse_unless(
        chosen is EngineName.TRANSIT, {"--transit-address": addresses, "--transit-auth": auth}, "transit"
    )
    others = {"--pkcs11-module": module, "--pkcs11-token": token, "--pkcs11-directory": directories}
    _refuse_unless(chosen is EngineName.PKCS11, others, "pkcs11")
    try:
        match chosen:
            case EngineName.TRANSIT:
                return Transit(True, tuple(addresses or ()), auth or Auth.APPROLE)
            case EngineName.PKCS11:
                return Pkcs11(True, module or "", token or "", tuple(directories or ()))
            case _:
                return Engine(chosen is not None)
    except ValueError as error:
        raise KleidiError(faults.INSTALL_VALUE, str(error)) from None


def _refuse_unless(fits: bool, options: Mapping[str, object], engine: str) -> None:
    for name, value in options.items():
        if value and not fits:
            raise KleidiError(faults.COMMAND_LINE, f"{name} goes with --engine {engine}")
