from tests import reference
from tests.docs import errors


def test_the_pages_that_the_code_writes_are_current() -> None:
    assert reference.LIMITS.read_text() == reference.limits_page()
    assert errors.PAGE.read_text() == errors.page()
    assert reference.JSON.read_text() == reference.json_page()
    assert reference.METRICS.read_text() == reference.metrics_page()
    text = reference.README.read_text()
    assert text == reference.readme(text)
