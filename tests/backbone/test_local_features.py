import numpy as np
import open_clip
import pytest
import torch

from skneg.backbone import load_backbone
from skneg.backbone._local_features import local_forward
from skneg.errors import BackboneError
from skneg.images import as_image_sequence

PIXELS = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def tower(**vision):
    torch.manual_seed(0)
    text = {"context_length": 8, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 1}
    network = open_clip.CLIP(embed_dim=48, vision_cfg={"image_size": 64, **vision}, text_cfg=text)
    return network.eval().requires_grad_(False).visual


@pytest.mark.parametrize("quick", [{}, {"no_ln_pre": True}, {"ls_init_value": 0.5}])
def test_vit_patches_take_the_value_path_of_the_last_block(quick):
    visual = tower(layers=3, width=64, head_width=32, patch_size=16, **quick)
    x = visual._embeds(PIXELS)
    *blocks, last = visual.transformer.resblocks
    for block in blocks:
        x = block(x)
    # As published: no attention, each token keeps its own value.
    weight, bias = last.attn.in_proj_weight[-64:], last.attn.in_proj_bias[-64:]
    v = x + last.ls_1(last.attn.out_proj(last.ln_1(x) @ weight.T + bias))
    v = v + last.ls_2(last.mlp(last.ln_2(v)))
    got = local_forward(visual)(PIXELS)
    assert got.shape == (2, 1 + 16, 48)
    torch.testing.assert_close(got[:, 1:], visual.ln_post(v)[:, 1:] @ visual.proj, atol=1e-5, rtol=0)
    torch.testing.assert_close(got[:, 0], visual(PIXELS), atol=1e-5, rtol=0)


def test_resnet_places_attend_to_themselves_alone():
    visual = tower(layers=[1, 1, 1, 1], width=16)
    x = visual.layer4(visual.layer3(visual.layer2(visual.layer1(visual.stem(PIXELS)))))
    pool = visual.attnpool
    got = local_forward(visual)(PIXELS)
    assert got.shape == (2, 1 + 4, 48)
    for place in range(4):
        token = x.flatten(2)[:, :, place] + pool.positional_embedding[1 + place]
        expected = pool.c_proj(pool.v_proj(token))
        torch.testing.assert_close(got[:, 1 + place], expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(got[:, 0], visual(PIXELS), atol=1e-5, rtol=0)


def test_towers_without_local_features_are_refused_by_name():
    visual = tower(timm_model_name="mobilenetv2_035", timm_pool="avg", timm_proj="linear")
    with pytest.raises(BackboneError, match=r"TimmModel \(.*\) has no local features"):
        local_forward(visual)
    with pytest.raises(BackboneError, match="no local features"):
        local_forward(tower(layers=1, width=64, head_width=32, patch_size=16, pool_type="avg"))


def test_the_image_tower_gives_unit_rows_with_the_whole_image_first(scenes):
    image_tower = load_backbone("skneg-tiny").image_tower
    images = as_image_sequence(scenes[0][:5])
    local = image_tower.encode(images, local=True)
    assert local.shape == (5, 5, 128)
    np.testing.assert_allclose(np.linalg.norm(local, axis=2), 1, atol=1e-5)
    np.testing.assert_allclose(local[:, 0], image_tower.encode(images), atol=1e-5)
