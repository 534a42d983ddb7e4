"""Choosing a localizer by name."""

from importlib.metadata import EntryPoint

import pytest

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.relevance import available_localizers, create_localizer, registry
from MaskWhatMattersLib.relevance.registry import LocalizerInfo


def test_our_own_localizers_are_there_with_a_licence_and_one_line():
    known = available_localizers()
    assert {"builtin", "builtin-research", "roi", "transformers", "finetuned"} <= set(known)
    assert all(info.licence and "\n" not in info.description for info in known.values())
    assert known["builtin-research"].needs_acknowledgement
    assert not known["builtin"].needs_acknowledgement


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(InputError, match=r'no localizer "bultin".*Did you mean "builtin"'):
        create_localizer("bultin")


def test_a_missing_package_is_named_with_the_way_to_install_it():
    info = LocalizerInfo("x", "x", "x", "x", "nowhere:X", requires=("a_package_that_nobody_has",))
    assert info.missing() == ["a_package_that_nobody_has"]


def test_an_option_that_does_not_exist_is_refused():
    with pytest.raises(InputError, match="cannot be made"):
        create_localizer("roi", colour="red")


def test_a_broken_localizer_of_another_package_is_left_out_with_a_warning(monkeypatch, caplog):
    broken = EntryPoint("broken", "a_module_that_nobody_has:info", registry.ENTRY_POINTS)
    monkeypatch.setattr(registry, "entry_points", lambda group: [broken])
    available_localizers.cache_clear()
    try:
        assert set(available_localizers()) == {"builtin", "builtin-research", "roi", "transformers", "finetuned"}
    finally:
        available_localizers.cache_clear()
    assert "broken" in caplog.text
