"""docs/api.md says what the docstrings say."""

import client
import exporter
from scripts import api_reference


def test_the_reference_is_current():
    assert api_reference.DOCUMENT.read_text() == api_reference.render(), "run make docs"


def test_every_public_name_is_there_and_can_be_imported():
    text = api_reference.DOCUMENT.read_text()
    for package in (exporter, client):
        for name in package.__all__:
            assert f"\n### {name}\n" in text
            assert getattr(package, name) is not None
    assert dir(exporter) == sorted(exporter.__all__)
