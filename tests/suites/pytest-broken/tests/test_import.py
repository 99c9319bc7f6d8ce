import no_such_module_of_ours


def test_never():
    pass
