import torch

from skneg.backbone._own_randomness import NothingDrawn, OwnRandomness


def built():
    layers = [torch.nn.Linear(4, 3), torch.nn.Conv2d(3, 2, 2), torch.nn.MultiheadAttention(8, 2)]
    torch.nn.init.trunc_normal_(layers[0].weight)
    torch.nn.init.orthogonal_(layers[1].weight)
    parameters = [parameter.detach() for layer in layers for parameter in layer.parameters()]
    return torch.cat(
        [p.ravel() for p in [*parameters, torch.randn(3), torch.rand(2), torch.empty(2).normal_()]]
    )


def test_weights_are_drawn_and_the_generator_of_the_process_is_not_used():
    before = torch.random.get_rng_state()
    with OwnRandomness():
        one = built()
    with OwnRandomness():
        again = built()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(one, again)
    assert one.std() > 0.1


def test_a_generator_that_is_given_is_used():
    with OwnRandomness():
        given = torch.randn(3, generator=torch.Generator().manual_seed(5))
    assert torch.equal(given, torch.randn(3, generator=torch.Generator().manual_seed(5)))


def test_a_weight_that_would_be_drawn_is_nan_until_it_is_read():
    before = torch.random.get_rng_state()
    with OwnRandomness(), NothingDrawn():
        layer, norm = torch.nn.Linear(4, 3), torch.nn.LayerNorm(3)
        flags = torch.zeros(4, dtype=torch.bool).bernoulli_(1.0)
    assert bool(torch.isnan(layer.weight).all())
    assert bool(torch.isnan(layer.bias).all())
    assert bool((norm.weight == 1).all())  # the same in every model
    assert bool(flags.all())
    assert torch.equal(torch.random.get_rng_state(), before)
    layer.load_state_dict({"weight": torch.ones(3, 4), "bias": torch.zeros(3)})
    assert bool((layer(torch.ones(4)) == 4).all())
