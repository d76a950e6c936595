"""The packages of a wheel: what pyproject.toml cannot say is that sql/, at the top of the tree, is kannon.sql."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["kannon", "kannon.*"]), "kannon.sql"],
    package_dir={"kannon.sql": "sql"},
    package_data={
        "kannon.sql": ["queries/*.sql", "migrations/*.sql"],
        "kannon.components.api.pages": ["templates/*.html", "assets/*"],
    },
)
