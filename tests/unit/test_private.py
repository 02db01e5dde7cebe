"""A directory of this user's alone is one that nobody else made, opened, or could exchange."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance import private

NOBODY = 65534
needs_another_user = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can give something to another user"
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def refused(path: Path) -> str:
    """What is wrong with which part of it."""
    with pytest.raises(private.SharedError) as caught:
        private.directory(path)
    return f"{Path(caught.value.filename).name} {caught.value.strerror}"


def test_what_is_missing_is_made_for_us_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        assert private.directory(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    finally:
        os.umask(before)
    assert (mode(tmp_path / "a"), mode(tmp_path / "a" / "b")) == (0o700, 0o700)


def test_what_is_only_looked_for_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        private.directory(tmp_path / "a" / "b", make=False)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("bits", [0o701, 0o710, 0o770, 0o707, 0o1777])
def test_one_that_is_open_to_others_is_refused_and_left_as_it_is(tmp_path: Path, bits: int) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(bits)
    assert refused(tmp_path / "open") == "open is open to others"
    assert mode(tmp_path / "open") == bits


def test_below_a_directory_that_others_can_write_to_nothing_is_ours(tmp_path: Path) -> None:
    for bits in (0o777, 0o770, 0o702):
        tmp_path.chmod(bits)
        assert refused(tmp_path / "ours") == f"{tmp_path.name} can be written by others"
    tmp_path.chmod(0o700)
    assert not (tmp_path / "ours").exists()


def test_the_sticky_bit_keeps_ours_in_a_place_for_all(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    assert private.directory(tmp_path / "ours") == tmp_path / "ours"


@needs_another_user
def test_what_another_user_made_is_refused_wherever_on_the_way(tmp_path: Path) -> None:
    (tmp_path / "theirs" / "ours").mkdir(parents=True, mode=0o700)
    os.chown(tmp_path / "theirs", NOBODY, NOBODY)
    assert refused(tmp_path / "theirs") == "theirs belongs to another user"
    assert refused(tmp_path / "theirs" / "ours") == "theirs belongs to another user"


@needs_another_user
def test_another_users_link_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "target")
    os.chown(tmp_path / "link", NOBODY, NOBODY, follow_symlinks=False)
    assert refused(tmp_path / "link" / "new") == "link is another user's link"
    assert refused(tmp_path / "link") == "link is a link"
    assert list((tmp_path / "target").iterdir()) == []


def test_our_own_link_on_the_way_is_followed_and_named_no_more(tmp_path: Path) -> None:
    (tmp_path / "target" / "deep").mkdir(parents=True, mode=0o700)
    (tmp_path / "link").symlink_to("target/../target")
    (tmp_path / "round").symlink_to(tmp_path / "link")
    assert private.directory(tmp_path / "round" / "deep") == tmp_path / "target" / "deep"


def test_a_link_in_its_own_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("target")
    assert refused(tmp_path / "link") == "link is a link"


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    with pytest.raises(OSError, match="Too many levels"):
        private.directory(tmp_path / "one" / "ours")


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(NotADirectoryError):
            private.directory(path)


def test_below_a_mount_that_is_open_to_all_there_is_one_for_each_user(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    made = private.below(tmp_path)
    assert made == tmp_path / f"user-{os.geteuid()}" == private.below(tmp_path, make=False)
    assert mode(made) == 0o700
    made.chmod(0o755)
    with pytest.raises(private.SharedError, match="open to others"):
        private.below(tmp_path)


@needs_another_user
def test_where_another_user_was_first_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "user-0").mkdir(mode=0o700)
    os.chown(tmp_path / "user-0", NOBODY, NOBODY)
    with pytest.raises(private.SharedError, match="another user"):
        private.below(tmp_path)


@needs_another_user
@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.chmod(0o775),
        lambda path: path.chmod(0o1777),
        lambda path: os.chown(path, NOBODY, -1),
    ],
    ids=["group", "sticky", "owner"],
)
def test_a_place_for_sockets_is_one_that_only_we_write_to(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    tmp_path.chmod(0o755)
    private.unwritable(tmp_path)
    spoil(tmp_path)
    with pytest.raises(private.SharedError):
        private.unwritable(tmp_path)
