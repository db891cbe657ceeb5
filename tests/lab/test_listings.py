"""What `psd decoders` prints of plugs."""

from psd_lab import listings
from psd_lib import DECODERS, STOPS


def test_every_decoder_is_listed_with_its_plugs():
    assert listings.plugs(DECODERS["psd"]) == ["confidence*", "chain*", "replay*", "-*"]
    assert listings.plugs(DECODERS["lopa"]) == ["confidence", "lookahead", "best_mean", "-"]
    assert listings.plugs(DECODERS["prophet"]) == ["top_k*", "-", "-", "prophet*"]
    printed = list(listings.decoders())
    assert printed[0].split() == ["DECODER", "POLICY", "BUILDER", "ACCEPTOR", "STOP", "SOURCE"]
    assert [line.split()[0] for line in printed[1 : len(DECODERS) + 1]] == list(DECODERS)


def test_stop_rules_are_named():
    (line,) = [line for line in listings.decoders() if line.startswith("stop rule (-o stop=NAME")]
    assert all(name in line for name in STOPS)
