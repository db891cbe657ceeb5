"""What pyproject.toml cannot say: every package that is found, and two folders of data besides."""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(include=["psd_lib*", "psd_lab*"]),
        "psd_data.data",
        "psd_data.notebooks",
    ]
)
