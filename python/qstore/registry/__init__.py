# SPDX-License-Identifier: Apache-2.0
"""Models in archives, under names like those of the Hub; see the guide on registries.

registry = Registry.open("models/")
registry.add([Source(parse_target("org/model"), Path("model/"))])
"""

from qstore.registry.adding import Source
from qstore.registry.names import parse_repo, parse_target
from qstore.registry.registry import Added, Collected, Registry

__all__ = ["Added", "Collected", "Registry", "Source", "parse_repo", "parse_target"]
