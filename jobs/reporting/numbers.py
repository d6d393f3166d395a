"""Numbers as a page and a terminal show them."""

import math

_MISSING = "–"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def human(value: float | None) -> str:
    """Return a number with 3 significant digits; whole numbers and thousands in full."""
    if value is None or math.isnan(value):
        return _MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == int(value) or abs(value) >= 999.5:
        return f"{value:,.0f}"
    if abs(value) < 1e-12:
        return "0"  # rounding noise
    if abs(value) < 1e-4:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{float(mantissa):g} × 10{str(int(exponent)).translate(_SUPERSCRIPT)}"
    return f"{value:.3g}"


def percent(share: float | None) -> str:
    """Return a share in [0, 1] as a percentage with 3 significant digits."""
    return _MISSING if share is None or math.isnan(share) else f"{human(100 * share)}%"
