"""The tests on every Python, JAX and IPython that jaxmagic supports and this machine has.

`nox` runs what it can; `nox --error-on-missing-interpreters` also fails for what is missing.
"""

from __future__ import annotations

import nox

nox.options.sessions = ["lint", "python", "ipython"]
nox.options.reuse_existing_virtualenvs = True


@nox.session(python="3.11")
def lint(session: nox.Session) -> None:
    """Style and types."""
    session.install("-e", ".[test]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")


@nox.session(python=["3.12", "3.13"])
def python(session: nox.Session) -> None:
    """Newer Pythons, with the newest JAX that each can have."""
    session.install("--upgrade", "--upgrade-strategy", "eager", "-e", ".[test]")
    run_tests(session, "not browser")


@nox.session(python="3.11")
@nox.parametrize("version", ["7.34", "8"])
def ipython(session: nox.Session, version: str) -> None:
    """Older IPythons: 7.34 is Google Colab's. Only what runs in a shell can differ there."""
    session.install("-e", ".[test]", f"ipython=={version}.*", "setuptools")
    run_tests(session, "ipython and not browser")


def run_tests(session: nox.Session, which: str) -> None:
    """These tests on two cores, after the word on what."""
    session.run("python", "--version")
    session.run("python", "-m", "pip", "freeze", "--quiet", "--exclude-editable")
    session.run("python", "-m", "pytest", "-n", "2", "-m", which, *session.posargs)
