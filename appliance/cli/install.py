"""Getting it onto a node: manifests to look at, installation, and removal that keeps every key."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from appliance import faults, regular
from appliance.cli.engines import (
    Addresses,
    Chosen,
    Directories,
    Login,
    Module,
    Token,
    engine_of,
)
from appliance.cli.node_slot import Chosen as ChosenSlot
from appliance.cli.node_slot import Group, Recovery, WithTpm, opened_by
from appliance.cli.options import UsageFile
from appliance.faults import KleidiError
from appliance.install import layout, traces
from appliance.install.before import Before
from appliance.install.steps import Remove, Step
from appliance.manifests import monitoring
from appliance.manifests.description import Description, Role, User
from appliance.manifests.distribution import Distribution, files
from appliance.manifests.engines import Engine


class Subject(StrEnum):
    """What `kleidi manifests` writes for: a distribution, or who watches the appliance there."""

    KUBEADM = Distribution.KUBEADM.value
    KIND = Distribution.KIND.value
    RKE2 = Distribution.RKE2.value
    K3S = Distribution.K3S.value
    PODMAN = Distribution.PODMAN.value
    MONITORING = "monitoring"


_Subject = Annotated[
    Subject,
    typer.Argument(
        metavar="DISTRIBUTION", help="What runs the control plane; or monitoring: rules and a dashboard."
    ),
]
_Named = Annotated[
    Distribution | None, typer.Option("--distribution", help="By default what the node's directories say.")
]
_FirstOrJoin = Annotated[
    bool | None,
    typer.Option(
        "--first/--join",
        help="The cluster's first or only node, which makes its key; or one that gets its keys from another.",
    ),
]
_Image = Annotated[str, typer.Option("--image", help="With a tag of its own for every version.")]
_User = Annotated[User, typer.Option("--user", help="Root without capabilities, or the image's own user.")]
_Directory = Annotated[
    Path | None,
    typer.Option("--directory", "-d", help="Write the files below it instead of showing them."),
]
_Root = Annotated[Path, typer.Option("--root", help="Where the node's / is, when it is mounted elsewhere.")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")]
_Force = Annotated[bool, typer.Option("--force", help="Even while something may need its keys.")]
_Group = Annotated[
    int | None,
    typer.Option(
        "--socket-group", metavar="GID", help="The group of an API server that is not root, by its number."
    ),
]
_Encryption = Annotated[
    Before,
    typer.Option("--encryption", help="What to do about an API server that encrypts already."),
]
# In bytes; a count has one row for each resource and key.
_MOST_COUNTED = 16 * 1024 * 1024
_IMAGE = Description().image


def manifests(
    subject: _Subject,
    *,
    first: _FirstOrJoin = None,
    image: _Image = _IMAGE,
    user: _User = User.ROOT,
    socket_group: _Group = None,
    engine: Chosen = None,
    transit_address: Addresses = None,
    transit_auth: Login = None,
    pkcs11_module: Module = None,
    pkcs11_token: Token = None,
    pkcs11_directory: Directories = None,
    tpm: WithTpm = False,
    tpm_group: Group = None,
    slot: ChosenSlot = None,
    recovery: Recovery = "",
    directory: _Directory = None,
) -> None:
    """The files that a distribution takes, or Prometheus and Grafana; without --first for a joining node."""
    wanted = engine_of(
        engine,
        addresses=transit_address,
        auth=transit_auth,
        module=pkcs11_module,
        token=pkcs11_token,
        directories=pkcs11_directory,
    )
    described = _described(bool(first), image, user, socket_group, wanted)
    described = opened_by(described, tpm, tpm_group, slot, recovery)
    if subject is not Subject.MONITORING:
        texts = files(Distribution(subject.value), described)
    elif first is not None or described != Description():
        raise KleidiError(faults.COMMAND_LINE, "monitoring is one for all nodes: it takes --directory alone")
    else:
        texts = monitoring.files()
    for name, text in texts.items():
        if directory is None:
            typer.echo(f"# ---- {name}\n{text}")
            continue
        path = directory / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        except OSError as error:
            raise KleidiError(faults.INSTALL_DENIED, f"{error.strerror}: {path}") from error
        typer.echo(path)


def install(
    *,
    first: _FirstOrJoin = None,
    distribution: _Named = None,
    image: _Image = _IMAGE,
    user: _User = User.ROOT,
    socket_group: _Group = None,
    engine: Chosen = None,
    transit_address: Addresses = None,
    transit_auth: Login = None,
    pkcs11_module: Module = None,
    pkcs11_token: Token = None,
    pkcs11_directory: Directories = None,
    tpm: WithTpm = False,
    tpm_group: Group = None,
    slot: ChosenSlot = None,
    recovery: Recovery = "",
    encryption: _Encryption = Before.REFUSE,
    root: _Root = Path("/"),
    dry_run: _DryRun = False,
) -> None:
    """Prepare this node: directories, seal key, manifests. It makes no cluster key; safe to run twice."""
    from appliance.install import node

    if first is None:
        raise KleidiError(faults.COMMAND_LINE, "say what this node is: --first or --join")
    _demand_root(root)
    wanted = engine_of(
        engine,
        addresses=transit_address,
        auth=transit_auth,
        module=pkcs11_module,
        token=pkcs11_token,
        directories=pkcs11_directory,
    )
    described = _described(first, image, user, socket_group, wanted)
    described = opened_by(described, tpm, tpm_group, slot, recovery)
    chosen = distribution or traces.found(root)
    if chosen not in layout.INSTALLABLE:
        known = ", ".join(layout.INSTALLABLE)
        raise KleidiError(faults.INSTALL_DISTRIBUTION, f"--distribution, one of {known}")
    _carry_out(node.Node(root).installation(chosen, described, encryption), dry_run=dry_run)
    if not first:
        typer.echo("This node makes no key. It waits until it is brought the cluster's keys.")
    for line in layout.to_bring(chosen, described):
        typer.echo(line)
    typer.echo(layout.next_steps(chosen, described))


def uninstall(
    *, usage: UsageFile = "", root: _Root = Path("/"), dry_run: _DryRun = False, force: _Force = False
) -> None:
    """Take the appliance off this node. Never deletes a key, a volume or an EncryptionConfiguration."""
    from appliance.install import node

    _demand_root(root)
    described = Description()
    stored = _counted(usage, described.provider) if usage else None
    steps = node.Node(root).removal(described, force=force, stored=stored)
    _carry_out(steps, dry_run=dry_run)
    for line in layout.left_running(str(step.path) for step in steps if isinstance(step, Remove)):
        typer.echo(line)


def _counted(name: str, provider: str) -> int | None:
    from appliance.usage.provider import stored_by

    try:
        if name == "-":
            text = sys.stdin.read(_MOST_COUNTED)
        else:
            text = regular.read(name, _MOST_COUNTED, follow=True).decode()
    except (OSError, ValueError) as error:
        raise KleidiError(faults.USAGE_INVALID, f"{name}: {regular.words(error)}") from error
    return stored_by(text, provider)


def _demand_root(root: Path) -> None:
    """The node's own /, or a directory that is meant to become one: a slip of the keyboard is neither."""
    if not root.is_dir():
        raise KleidiError(faults.COMMAND_LINE, f"--root {root}: there is no such directory")


def _described(first: bool, image: str, user: User, socket_group: int | None, engine: Engine) -> Description:
    role = Role.FIRST if first else Role.JOIN
    try:
        return Description(role=role, user=user, image=image, socket_group=socket_group, engine=engine)
    except ValueError as error:
        raise KleidiError(faults.INSTALL_VALUE, str(error)) from None


def _carry_out(steps: list[Step], *, dry_run: bool) -> None:
    from appliance.install import node

    if not steps:
        typer.echo("nothing to do: everything is in place")
    for step in steps:
        # Told behind it: what stands there is done.
        if not dry_run:
            node.apply([step])
        typer.echo(f"would do: {step}" if dry_run else f"{step}")
