"""The decoding core: PSD's one loop over token ids, and the contract of its strategies.

Read in this order: `engine` (the algorithm), `strategy` and `states` (the contract), `policies`,
`chain` and `accept` (PSD's own strategies), `config` (decoders by name); then `scores`, `canvas`,
`cache`, `attention` and `trace`, which the engine stands on. Public names are in `psd_lib`.
"""
