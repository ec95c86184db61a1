"""Adds the C engine to what pyproject.toml describes; setuptools has no other hook for cffi."""

from setuptools import setup

setup(cffi_modules=["stripeengine/_build.py:ffibuilder"])
