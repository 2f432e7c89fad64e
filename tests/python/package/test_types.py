# SPDX-License-Identifier: Apache-2.0
"""The types that _qstore.pyi gives: those of the extension, by the same names of arguments."""

import ast
import inspect
import re

from conftest import ROOT

TYPES = ROOT / "python" / "qstore" / "_qstore.pyi"


def signature(function):
    """What is said of a function: the arguments, and of each whether it may be left out."""
    arguments, defaults = function.args.args, len(function.args.defaults)
    names = [argument.arg for argument in arguments]
    return [(name, at >= len(names) - defaults) for at, name in enumerate(names)]


def typed():
    found = {}
    for node in ast.parse(TYPES.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = signature(node)
        elif isinstance(node, ast.ClassDef):
            found[node.name] = "class"
            for part in node.body:
                if isinstance(part, ast.FunctionDef):
                    decorators = [ast.unparse(decorator) for decorator in part.decorator_list]
                    is_property = "property" in decorators
                    key = f"{node.name}.{part.name}"
                    found[key] = "property" if is_property else signature(part)
        elif isinstance(node, ast.AnnAssign):
            found[node.target.id] = "value"
    return found


def bound_signature(function):
    ((text, *_),) = function.__nb_signature__
    text = re.sub(r"\\\d+", "None", text)
    while "[" in text:  # What nanobind says of arrays there is no Python.
        text = re.sub(r"\[[^][]*\]", "", text)
    (node,) = ast.parse(text + ": ...").body
    return signature(node)


def bound(module):
    found = {}
    for name, value in vars(module).items():
        if inspect.isclass(value):
            found[name] = "class"
            for key, part in vars(value).items():
                if isinstance(part, property):
                    found[f"{name}.{key}"] = "property"
                elif hasattr(part, "__nb_signature__") or isinstance(part, staticmethod):
                    found[f"{name}.{key}"] = bound_signature(getattr(value, key))
        elif hasattr(value, "__nb_signature__"):
            found[name] = bound_signature(value)
        elif name == "__version__":
            found[name] = "value"
    return found


def test_the_types_are_those_of_the_extension(qstore):
    assert typed() == bound(qstore._qstore)
