"""What the options of an evaluation are: a record, `OPTIONS` in `release/evals/<key>/options.py`."""

from collections.abc import Mapping
from typing import Any, ClassVar

from release.frozen import Frozen


class EvalOptions(Frozen):
    """The options of one evaluation; the one of its own name says how much of it is asked, or "off".

    Attributes:
        named: What is asked where --evals names it and it is off by default, or on only beside others.
        taken_from: Key of the evaluation whose passes it is taken from: --evals names both by naming that one.
    """

    named: ClassVar[str | None] = None
    taken_from: ClassVar[str | None] = None

    @classmethod
    def filled(cls, _: Mapping[str, Any], /) -> Mapping[str, Any]:
        """What is asked where the user gave these values, unless they give it."""
        return {}

    @classmethod
    def off(cls) -> Mapping[str, Any]:
        """What else is set where the evaluation is switched off."""
        return {}

    @classmethod
    def require_consistent(cls, asked: Any) -> None:
        """Refuse what contradicts itself.

        Raises:
            BadOption: Two options exclude each other.
        """
