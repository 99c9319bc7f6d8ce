def test_under():
    pass
