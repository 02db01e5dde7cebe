"""Which resource an etcd key belongs to."""

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.usage.path import ELSEWHERE, directory, joined, resource


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (b"/registry/secrets/default/one", "secrets"),
        (b"/registry/namespaces/default", "namespaces"),
        (b"/registry/deployments/default/one", "deployments"),
        (b"/registry/example.com/widgets/default/one", "widgets.example.com"),
        (b"/registry/apiregistration.k8s.io/apiservices/v1.apps", "apiservices.apiregistration.k8s.io"),
        (b"/registry/minions/node", "nodes"),
        (b"/registry/services/specs/default/one", "services"),
        (b"/registry/services/endpoints/default/one", "endpoints"),
        (b"/registry/controllers/default/one", "replicationcontrollers"),
        (b"/registry/ingress/default/one", "ingresses"),
        (b"/registry/", ELSEWHERE),
        (b"/registry2/secrets/default/one", ELSEWHERE),
        (b"compact_rev_key", ELSEWHERE),
    ],
)
def test_is_named_as_an_encryption_configuration_names_it(key: bytes, name: str) -> None:
    assert resource(key, directory("/registry")) == name


@pytest.mark.parametrize(
    ("prefix", "under"),
    [("/registry", b"/registry/"), ("/registry/", b"/registry/"), ("/", b"/"), ("", b"/")],
)
def test_a_prefix_ends_at_a_slash(prefix: str, under: bytes) -> None:
    assert directory(prefix) == under


@pytest.mark.parametrize(
    ("prefix", "whole"),
    [
        ("kubernetes.io", "/kubernetes.io"),
        ("//registry", "/registry"),
        ("registry//one/", "/registry/one"),
        ("./registry/.", "/registry"),
        ("registry/../other", "/other"),
        ("../../registry", "/registry"),
        ("registry/..", "/"),
        (".../registry", "/.../registry"),
        (" registry", "/ registry"),
    ],
)
def test_a_prefix_is_joined_as_the_api_server_joins_it(prefix: str, whole: str) -> None:
    assert joined(prefix) == whole == joined(whole)


def by_the_rules(path: str) -> str:
    """Go's path.Clean, as its documentation tells it, for a path that begins with a slash."""
    rules = [
        (r"/{2,}", "/"),
        (r"/\.(?=/|$)", ""),
        (r"^/\.\.(?=/|$)", ""),
        (r"/(?!\.\.(?:/|$))[^/]+/\.\.(?=/|$)", ""),
    ]
    before = None
    while path != before:
        before = path
        for rule, instead in rules:
            path = re.sub(rule, instead, path, count=1)
    return path.rstrip("/") or "/"


@given(st.lists(st.sampled_from(["/", ".", "..", "a", "registry", "é", " "]), max_size=12).map("".join))
def test_any_prefix_is_what_the_rules_make_of_it(prefix: str) -> None:
    assert joined(prefix) == by_the_rules("/" + prefix)


def test_a_prefix_of_any_bytes_keeps_them() -> None:
    assert directory(os.fsdecode(b"r\xff")) == b"/r\xff/"


@given(st.binary(max_size=60))
def test_any_key_has_a_resource(rest: bytes) -> None:
    assert resource(b"/registry/" + rest, directory("/registry"))
    assert resource(rest, directory("/registry"))
