"""Recipes are composed of layers, and say where each value stands."""

import pytest
from refused import refused

from gm_bench.composition import merged
from gm_bench.config import Params


def test_every_variant_has_every_recipe(params: Params) -> None:
    for variant in params.variants:
        assert params.recipes_of(variant) == ["tiny", "grey", "grey_cpu", "scaled", "colour_cpu", "colour"]
        for recipe in params.recipes_of(variant):
            assert params.recipe(variant, recipe).batch_size > 1


def test_layers_are_joined_key_by_key_and_what_has_another_name_is_replaced() -> None:
    adam = {"name": "adam", "lr": 1.0, "betas": [0.5, 0.9]}
    assert merged({"o": adam, "n": 1}, {"o": {"lr": 2.0}}) == {"o": adam | {"lr": 2.0}, "n": 1}
    assert merged({"o": adam}, {"o": {"name": "adam", "lr": 2.0}}) == {"o": adam | {"lr": 2.0}}
    other = {"name": "rmsprop", "lr": 3.0}
    assert merged({"o": adam}, {"o": other}) == {"o": other}
    assert adam["lr"] == 1.0, "a layer is not changed"


@pytest.mark.parametrize("name", ["all", "grey"])
@pytest.mark.parametrize("layer", [False, 0, "", [], 5])
def test_a_layer_is_a_mapping_or_nothing(params: Params, name: str, layer: object) -> None:
    raw = params.model_dump()
    raw["variants"]["ns_gan"] = {"kind": "adversarial", name: layer}
    with refused(f"variants.ns_gan.{name} is {layer!r}: it must be a mapping"):
        Params.model_validate(raw).recipe("ns_gan", "grey")
    raw["variants"]["ns_gan"][name] = None
    assert Params.model_validate(raw).recipe("ns_gan", "grey").optimisers["critic"].lr == 2.0e-4


def test_a_recipe_is_composed_and_says_where_each_value_stands(params: Params) -> None:
    recipe = params.recipe("wgan_gp", "tiny").model_dump(mode="json")
    critic = {"name": "adam", "lr": 5.0e-4, "betas": [0.5, 0.9], "decay": "none"}
    assert recipe["optimisers"] == {"critic": critic, "generator": critic}
    assert list(recipe["updates"].items()) == [("critic", 5), ("generator", 1)]
    assert recipe["network"] == {"name": "mlp", "width": 256, "critic_norm": "none"}
    places = params.origins("wgan_gp", "tiny")
    assert places["optimisers.critic.lr"] == "variants.wgan_gp.tiny.optimiser.lr"
    assert places["optimisers.generator.decay"] == "bases.tiny.adversarial.optimiser.decay"
    assert places["network.critic_norm"] == "variants.wgan_gp.all.network.critic_norm"
    assert places["network.width"] == "bases.tiny.all.network.width"
    own = params.origins("gan", "grey_cpu")
    assert own["optimisers.critic.lr"] == "variants.gan.grey_cpu.optimisers.critic.lr"
    assert own["optimisers.generator.lr"] == "bases.grey_cpu.adversarial.optimiser.lr"


def test_a_rate_set_for_one_variant_changes_that_variant_alone(params: Params) -> None:
    raw = params.model_dump()
    raw["variants"]["lsgan"]["tiny"] = {"optimiser": {"lr": 9.0e-4}}
    changed = Params.model_validate(raw)
    differing = [
        (variant, recipe)
        for variant in params.variants
        for recipe in params.recipes_of(variant)
        if params.recipe(variant, recipe) != changed.recipe(variant, recipe)
    ]
    assert differing == [("lsgan", "tiny")]
    assert changed.recipe("lsgan", "tiny").optimisers["critic"].lr == 9.0e-4
