"""The table of components: one row each, in step with the configuration and the metrics."""

import dataclasses
from pathlib import Path

import pytest

from kannon import app, component_table
from kannon.components.metrics import Sources
from kannon.config import COMPONENTS, Config, Nats
from kannon.embedded import DataDir


def test_the_table_has_a_row_for_each_name_that_the_configuration_accepts() -> None:
    assert [entry.name for entry in component_table.COMPONENTS] == list(COMPONENTS)


def test_each_gauge_is_one_that_the_metrics_read() -> None:
    fields = {field.name for field in dataclasses.fields(Sources)}
    assert {entry.gauge for entry in component_table.COMPONENTS} - {""} <= fields


async def names(folder: Path, *enabled: str) -> list[list[str]]:
    """Of the wired components, by layer. An embedded NATS would hold a port from the start, so it is external here."""
    config = Config(nats=Nats(url="nats://127.0.0.1:1"))
    with DataDir.open(folder / "data") as data_dir:
        wired = await app.wire(config, enabled, data_dir, migrate=False)
    return [[component.name for component in layer] for layer in wired.layers]


async def test_every_component_is_wired_under_its_own_name(tmp_path: Path) -> None:
    layers = await names(tmp_path, *COMPONENTS)
    assert layers == [
        ["metrics"],
        ["postgres"],
        ["connections"],
        ["schema", "api", "sender", "smtp", "bump"],
        ["validator", "dispatcher", "stats"],
    ]


@pytest.mark.parametrize("name", COMPONENTS)
async def test_a_component_alone_brings_only_the_servers_that_it_needs(name: str, tmp_path: Path) -> None:
    layers = await names(tmp_path, name)
    flat = [each for layer in layers for each in layer]
    assert flat[-1] == name
    assert ("postgres" in flat) is ("schema" in flat) is (name != "sender")
