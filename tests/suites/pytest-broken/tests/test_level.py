import pytest


@pytest.mark.regatta(level="deep")
def test_misses_its_level():
    pass
