"""The table of pruning methods. A method joins by one row here."""

from release.errors import UnknownName
from release.pruning.magnitude import MAGNITUDE
from release.pruning.method import Method
from release.pruning.random import RANDOM
from release.pruning.ria import RIA
from release.pruning.sparsegpt import SPARSEGPT
from release.pruning.wanda import WANDA

METHODS: dict[str, Method] = {method.key: method for method in (RANDOM, MAGNITUDE, WANDA, RIA, SPARSEGPT)}


def method_named(key: str) -> Method:
    """Look a method up.

    Raises:
        UnknownName: With the nearest names.
    """
    if key not in METHODS:
        raise UnknownName.among("pruning method", key, METHODS, "`release methods` lists them.")
    return METHODS[key]
