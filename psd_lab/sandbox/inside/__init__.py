"""What runs inside the sandbox, imported by a bare interpreter that knows nothing else of psd_lab.

It uses the standard library only.

No module here may import `random` or `secrets` before the fork: both processes would then draw the
same numbers.
"""
