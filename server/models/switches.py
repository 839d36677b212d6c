"""Models that clients take out of service, and bring back: the repository API's unload and load.

A switch is a part of a model's configuration, so it travels with it to all workers and to those
that are started later. Of two switches of a model the later one counts, so neither a configuration
from before, nor a configuration file that is read again and knows nothing of switches, undoes one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from server.errors import Code, ServingError
from server.models.model_config import ModelConfig, Switch


def turned(configs: Iterable[ModelConfig], name: str, *, is_on: bool) -> list[ModelConfig]:
    """Returns configurations in which one model was turned on, or off.

    Raises:
        ServingError: NOT_FOUND, none of them is that model's.
    """
    turned_configs, known = [], []
    for config in configs:
        known.append(config.name)
        if config.name == name:
            config = replace(config, switch=Switch(config.switch.number + 1, is_on))
        turned_configs.append(config)
    if name not in known:
        raise ServingError(
            Code.NOT_FOUND,
            f"no model {name} is configured; configured are: {', '.join(sorted(known)) or 'none'}",
        )
    return turned_configs


def kept(configs: Sequence[ModelConfig], before: Iterable[ModelConfig]) -> list[ModelConfig]:
    """Returns configurations, each with the later of its own switch and the one before."""
    switches = {config.name: config.switch for config in before}
    return [
        replace(config, switch=max(config.switch, switches.get(config.name, config.switch)))
        for config in configs
    ]
