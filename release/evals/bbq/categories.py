"""The categories of BBQ, known without its data."""

from collections.abc import Iterable

from release.errors import UnknownName

SIZES = {
    "Age": 3680,
    "Disability_status": 1556,
    "Gender_identity": 5672,
    "Nationality": 3080,
    "Physical_appearance": 1576,
    "Race_ethnicity": 6880,
    "Race_x_SES": 11160,
    "Race_x_gender": 15960,
    "Religion": 1200,
    "SES": 6864,
    "Sexual_orientation": 864,
}
"""Category → its items, half of them ambiguous: what a sample stands for, also where the data are not at hand."""


def require_categories(names: Iterable[str], known: Iterable[str] = tuple(SIZES)) -> None:
    """Refuse a category that is none.

    Args:
        known: By default BBQ's own.

    Raises:
        UnknownName: Names the nearest.
    """
    known = tuple(known)
    for name in names:
        if name not in known:
            raise UnknownName.among("BBQ category", name, known)
