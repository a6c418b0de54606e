"""Whether trainings ran on machines that compute alike: what `describe_worker` says of them."""

from collections.abc import Iterable, Mapping


def kinds(machines: Iterable[Mapping[str, str]]) -> set[str]:
    """The kinds of machines among those of `describe_worker`: each computes other last digits."""
    return {_kind(machine) for machine in machines if machine}


def on_several(found: Iterable[str]) -> str:
    """In words, after `kinds`: what it means that there is more than one."""
    return (
        f"on machines of several kinds ({'; '.join(sorted(found))}), whose results differ in the "
        "last digits (runtime.portable: true makes CPUs agree)"
    )


def _kind(machine: Mapping[str, str]) -> str:
    if machine["device"] != "cpu":
        return machine["device"]
    if machine["cpu"] == "portable":
        return "portable"
    return f"{machine['processor']} ({machine['cpu']})"
