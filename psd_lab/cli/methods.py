"""`psd methods`: list methods by their papers."""


def methods() -> None:
    """List methods by paper, exact or not."""
    from psd_lab import listings

    listings.show(listings.methods())
