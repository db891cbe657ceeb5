"""`psd models`: list checkpoints."""


def models() -> None:
    """List embedded and released checkpoints."""
    from psd_lab import listings

    listings.show(listings.models())
