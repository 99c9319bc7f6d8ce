import pytest

pytest.skip("nothing for this machine", allow_module_level=True)


def test_never():
    pass
