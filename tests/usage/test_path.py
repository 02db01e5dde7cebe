"""Which resource an etcd key belongs to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.usage.path import ELSEWHERE, directory, resource


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


@given(st.binary(max_size=60))
def test_any_key_has_a_resource(rest: bytes) -> None:
    assert resource(b"/registry/" + rest, directory("/registry"))
    assert resource(rest, directory("/registry"))
