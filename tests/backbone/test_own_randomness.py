import torch

from skneg.backbone._own_randomness import OwnRandomness


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
