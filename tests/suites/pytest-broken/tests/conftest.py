import pytest


class Double(pytest.Item):
    def runtest(self):
        pass


class Doubles(pytest.File):
    """Collects two tests that have one id."""

    def collect(self):
        yield Double.from_parent(self, name="same")
        yield Double.from_parent(self, name="same")


def pytest_collect_file(file_path, parent):
    if file_path.suffix == ".double":
        return Doubles.from_parent(parent, path=file_path)
