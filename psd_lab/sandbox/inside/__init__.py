"""What runs inside the sandbox: standard library only, imported by a bare interpreter that knows
nothing else of psd_lib.

No module here may import `random` or `secrets` before the fork: both processes would then draw the
same numbers.
"""
