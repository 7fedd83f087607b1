"""What headers tell of their adapters, in the words of the programs that write them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinloop.loras.header_facts import AdapterFacts, adapter_facts


@pytest.mark.parametrize(
    ("module", "arguments", "kind"),
    [
        ("networks.lora", None, "lora"),
        ("networks.lora_flux", {"split_qkv": "True"}, "lora"),
        ("networks.lora", {"dora_wd": "True"}, "dora"),
        ("lycoris.kohya", {"algo": "lokr", "factor": "4"}, "lokr"),
        ("lycoris.kohya", {"algo": "locon"}, "lora"),
        ("lycoris.kohya", {"algo": "loha"}, None),
        ("networks.oft", None, None),
    ],
)
def test_the_kind(module: str, arguments: dict[str, str] | None, kind: str | None) -> None:
    texts = {"ss_network_module": module, "ss_network_dim": "16", "ss_network_alpha": "0.5"}
    if arguments is not None:
        texts["ss_network_args"] = json.dumps(arguments)
    assert adapter_facts(texts) == AdapterFacts(kind, 16, 0.5)


def test_nothing_is_made_up() -> None:
    assert adapter_facts({}) == AdapterFacts()
    assert adapter_facts({"ss_network_dim": "Dynamic", "ss_network_alpha": "Dynamic"}) == AdapterFacts()


@given(
    st.dictionaries(
        st.sampled_from(["ss_network_module", "ss_network_dim", "ss_network_alpha", "ss_network_args"]),
        st.text() | st.sampled_from(["[]", "null", "inf", "1e400", "-4", "{}"]),
    )
)
def test_whatever_a_header_holds(texts: dict[str, str]) -> None:
    found = adapter_facts(texts)
    assert (found.rank is None or found.rank >= 0) and found.adapter in (None, "lora", "dora", "lokr")
