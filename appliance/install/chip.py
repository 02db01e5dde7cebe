"""The TPM of a node: what it takes to give it to the appliance, and whether an installation did so before."""

import re
import stat
from dataclasses import replace
from pathlib import Path, PurePosixPath

from appliance import faults
from appliance.faults import KleidiError
from appliance.install import layout, tpm_relay
from appliance.install.rooted import Rooted
from appliance.manifests import podman, relay
from appliance.manifests.description import Description
from appliance.manifests.distribution import Distribution
from appliance.manifests.tpm import DEVICE, Tpm

_GIVEN = re.compile(rf"^AddDevice={DEVICE}$(?:\nPodmanArgs=--group-add=(\d+)$)?", re.MULTILINE)
# In bytes.
_MOST = 1024 * 1024


def program() -> str:
    """The relay's own text: what runs on the node is what is tested here."""
    return Path(tpm_relay.__file__).read_text()


def given(node: Rooted, distribution: Distribution, described: Description) -> Description:
    """*described* with the TPM as this node has it: one that was given once stays, whether asked for or not.

    Raises E-INSTALL-PYTHON, E-INSTALL-TPM.
    """
    if distribution in layout.RELAYED:
        if described.tpm is not None:
            _check_python(node)
        elif layout.OURS in _text(node, relay.PROGRAM):
            return replace(described, tpm=Tpm(program()))
        return described
    before = _GIVEN.search(_text(node, podman.QUADLET))
    if described.tpm is None:
        return replace(described, tpm=Tpm(program(), _number(before))) if before else described
    if described.tpm.group is not None:
        return described
    return replace(described, tpm=replace(described.tpm, group=_group(node, _number(before))))


def _check_python(node: Rooted) -> None:
    """In a directory that is carried to a node later nobody can look for it."""
    programs = node.at(node.real(str(PurePosixPath(relay.PYTHON).parent)))
    if programs.is_dir() and not node.at(node.real(relay.PYTHON)).is_file():
        raise KleidiError(faults.INSTALL_PYTHON, str(node.at(relay.PYTHON)))


def _group(node: Rooted, before: int | None) -> int:
    """The device's; while it is away, what an earlier installation found."""
    path = node.at(node.real(DEVICE))
    try:
        status = path.stat()
    except FileNotFoundError:
        if before is not None:
            return before
        raise KleidiError(faults.INSTALL_TPM, str(path)) from None
    if not stat.S_ISCHR(status.st_mode):
        raise KleidiError(faults.INSTALL_TPM, f"{path} is no device")
    return status.st_gid


def _text(node: Rooted, path: str) -> str:
    return (node.read(path, _MOST) or b"").decode(errors="replace")


def _number(before: re.Match[str] | None) -> int | None:
    return int(before[1]) if before and before[1] else None
