"""The css and js that ship with the package."""

from __future__ import annotations

import re

from jaxmagic.views import assets


def test_a_module_is_its_scripts_in_order():
    text = assets.module(assets.CHARTS, "functions.js", "live.js")
    assert text.index("var uPlot=") < text.index("export default")
    assert "Permission is hereby granted" in assets.source("uPlot.LICENSE")


def test_the_static_look_has_no_variables_left_and_no_rule_is_lost():
    look = assets.look()
    assert "var(" not in "".join(look.values())
    assert look["jm-good"] == "color:#22935a"
    assert set(look) | {"jm-fixed"} == set(
        re.findall(r"^\.(jm[\w-]*)", assets.source("look.css"), re.MULTILINE)
    )


def test_no_asset_points_outside():
    namespace = "http://www.w3.org/2000/svg"  # a name, which nobody fetches
    for name in ("look.css", "live.css", "functions.js", "live.js"):
        text = assets.source(name).replace(namespace, "")
        assert not re.search(r"https?://|@import|url\((?!#)", text), name
