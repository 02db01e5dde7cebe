"""Options of `install` and `manifests`: what opens the seal on a node, and whether it is given the TPM."""

from dataclasses import replace
from typing import Annotated

import typer

from appliance import faults
from appliance.faults import KleidiError
from appliance.manifests.description import Description
from appliance.manifests.slots import Slot, SlotName
from appliance.manifests.tpm import Tpm

WithTpm = Annotated[
    bool,
    typer.Option(
        "--tpm", help="Give it the node's TPM: a pod by a relay of systemd's, podman by the device."
    ),
]
Group = Annotated[
    int | None,
    typer.Option(
        "--tpm-group", metavar="GID", help="The group of /dev/tpmrm0, for podman; by default it is looked up."
    ),
]
Chosen = Annotated[
    SlotName | None,
    typer.Option("--slot", help="What opens the seal by itself; by default a file, or as it was."),
]
Recovery = Annotated[
    str,
    typer.Option(
        "--recovery", metavar="AGE1…", help="An age recipient that can open the first seal as well."
    ),
]


def opened_by(
    described: Description, tpm: bool, group: int | None, slot: SlotName | None, recovery: str
) -> Description:
    """Raises E-INSTALL-VALUE, and E-COMMAND-LINE for an option that says nothing without another."""
    from appliance.install import chip

    if not tpm and (group is not None or slot is SlotName.TPM):
        option = "--slot tpm" if group is None else "--tpm-group"
        raise KleidiError(faults.COMMAND_LINE, f"{option} goes with --tpm")
    try:
        given = Tpm(chip.program(), group) if tpm else None
        found = replace(described, tpm=given, slot=Slot(slot, recovery))
    except ValueError as error:
        raise KleidiError(faults.INSTALL_VALUE, str(error)) from None
    if recovery:
        _check_recipient(recovery)
    return found


def _check_recipient(recovery: str) -> None:
    """A slip of the hand in it would stop the appliance at its start."""
    from appliance.age.key_pairs import Recipients

    try:
        Recipients((recovery,))
    except KleidiError as error:
        raise KleidiError(faults.INSTALL_VALUE, f"--recovery: {error.detail}") from None
