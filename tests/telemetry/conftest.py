"""The service's scene, on the transport that is ours: what is counted is counted behind both."""

import pytest

from appliance.service.transports import NGHTTP2
from tests.service.conftest import journal, running, scene, set_up, start

__all__ = ["journal", "running", "scene", "set_up", "start"]


@pytest.fixture
def transport() -> str:
    return NGHTTP2
