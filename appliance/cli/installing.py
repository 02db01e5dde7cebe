"""Getting it onto a node: manifests to look at, installation, and removal that keeps every key."""

from pathlib import Path
from typing import Annotated

import typer

from appliance import faults
from appliance.faults import KleidiError
from appliance.install import layout, node
from appliance.install.steps import Step
from appliance.manifests.description import Description, Role, User
from appliance.manifests.distribution import Distribution, files

_Distribution = Annotated[Distribution, typer.Argument(help="What runs the control plane.")]
_Named = Annotated[
    Distribution | None, typer.Option("--distribution", help="By default what the node's directories say.")
]
_FirstOrJoin = Annotated[
    bool,
    typer.Option(
        "--first/--join",
        help="The cluster's first or only node, which makes its key; or one that gets its keys from another.",
    ),
]
_Image = Annotated[str, typer.Option("--image", help="With a tag of its own for every version.")]
_User = Annotated[User, typer.Option("--user", help="Root without capabilities, or the image's own user.")]
_Directory = Annotated[
    Path | None,
    typer.Option("--output", help="Write the files below this directory instead of showing them."),
]
_Root = Annotated[Path, typer.Option("--root", help="Where the node's / is, when it is mounted elsewhere.")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")]
_Force = Annotated[bool, typer.Option("--force", help="Even while the EncryptionConfiguration names it.")]
_IMAGE = Description().image


def manifests(
    distribution: _Distribution,
    *,
    first: _FirstOrJoin = False,
    image: _Image = _IMAGE,
    user: _User = User.ROOT,
    output: _Directory = None,
) -> None:
    """The files that a distribution takes. Without --first they are for a joining node: it makes no key."""
    texts = files(distribution, _described(first=first, image=image, user=user))
    for name, text in texts.items():
        if output is None:
            typer.echo(f"# ---- {name}\n{text}")
            continue
        path = output / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        except OSError as error:
            raise KleidiError(faults.INSTALL_DENIED, f"{error.strerror}: {path}") from error
        typer.echo(path)


def install(
    *,
    first: _FirstOrJoin,
    distribution: _Named = None,
    image: _Image = _IMAGE,
    user: _User = User.ROOT,
    root: _Root = Path("/"),
    dry_run: _DryRun = False,
) -> None:
    """Prepare this node: directories, seal key, manifests. It makes no cluster key; safe to run twice."""
    described = _described(first=first, image=image, user=user)
    chosen = distribution or layout.found(root)
    if chosen not in layout.INSTALLABLE:
        known = ", ".join(layout.INSTALLABLE)
        raise KleidiError(faults.INSTALL_DISTRIBUTION, f"one of {known}")
    _carry_out(node.Node(root).installation(chosen, described), dry_run=dry_run)
    if not first:
        typer.echo("This node makes no key. It waits until it is brought the cluster's keys.")
    typer.echo(layout.next_steps(chosen, described))


def uninstall(*, root: _Root = Path("/"), dry_run: _DryRun = False, force: _Force = False) -> None:
    """Take the appliance off this node. Never deletes a key, a volume or an EncryptionConfiguration."""
    _carry_out(node.Node(root).removal(Description(), force=force), dry_run=dry_run)


def _described(*, first: bool, image: str, user: User) -> Description:
    try:
        return Description(role=Role.FIRST if first else Role.JOIN, user=user, image=image)
    except ValueError as error:
        raise KleidiError(faults.INSTALL_VALUE, str(error)) from None


def _carry_out(steps: list[Step], *, dry_run: bool) -> None:
    for step in steps:
        typer.echo(f"would do: {step}" if dry_run else f"{step}")
    if not steps:
        typer.echo("nothing to do: everything is in place")
    if not dry_run:
        node.apply(steps)
