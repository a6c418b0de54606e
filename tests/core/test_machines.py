"""When two machines compute alike."""

import pytest

from src.core.machines import kinds, on_several

CPU = {"device": "cpu", "cpu": "AVX2", "processor": "One", "node": "a"}


@pytest.mark.parametrize(
    ("changed", "alike"),
    [
        ({"node": "b"}, True),
        ({"processor": "Other"}, False),
        ({"cpu": "AVX512"}, False),
        ({"device": "NVIDIA H200"}, False),
    ],
)
def test_a_kind_is_a_processor_with_its_instructions_or_a_gpu(
    changed: dict[str, str], alike: bool
) -> None:
    assert (len(kinds([CPU, CPU | changed])) == 1) == alike


def test_portable_cpus_are_of_one_kind_and_so_are_equal_gpus_of_any_processor() -> None:
    for same in ({"cpu": "portable"}, {"device": "NVIDIA H200"}):
        assert len(kinds([CPU | same, CPU | same | {"processor": "Other"}])) == 1


def test_a_machine_that_is_not_known_is_of_no_kind() -> None:
    assert kinds([{}, CPU]) == {"One (AVX2)"}


def test_several_kinds_are_told_by_name() -> None:
    told = on_several(kinds([CPU, CPU | {"processor": "Other"}]))
    assert told.startswith("on machines of several kinds (One (AVX2); Other (AVX2)), whose results")
