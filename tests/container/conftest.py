"""One engine for the run; every pod ends with its test."""

import contextlib
from collections.abc import Callable, Iterator

import pytest

from tests.conformance.conftest import etcd, secretserver, stage
from tests.container.engine import Engine
from tests.container.pod import IMAGE, Pod

__all__ = ["etcd", "secretserver", "stage"]


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    with Engine() as engine:
        assert engine.call("image", "exists", IMAGE).returncode == 0, (
            f"there is no {IMAGE}; make image builds it"
        )
        yield engine


@pytest.fixture
def make_pod(engine: Engine) -> Iterator[Callable[..., Pod]]:
    with contextlib.ExitStack() as exits:

        def make(**options: object) -> Pod:
            pod = Pod(engine, **options)  # type: ignore[arg-type]
            exits.callback(pod.close)
            return pod

        yield make


@pytest.fixture
def pod(make_pod: Callable[..., Pod]) -> Pod:
    return make_pod()
