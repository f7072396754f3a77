import torch
from tiny_head import gradients

from rein.models.decode_heads.pixel_decoder import decode_pixels
from rein.models.pyramid import Pyramid


def test_the_pixel_decoder_equals_mmdets_forward_and_backward(head):
    """Maps are resized inside our decoder, but before mmdet's."""
    decoder = head.pixel_decoder
    for parameter in decoder.parameters():
        parameter.data.copy_(torch.randn(
            parameter.shape, generator=torch.Generator().manual_seed(parameter.numel())) * 0.2)
    torch.manual_seed(0)
    native = [torch.randn(2, 32, 5, 7, requires_grad=True) for _ in range(4)]
    pyramid = Pyramid(native, [(20, 28), (10, 14), (5, 7), (2, 4)])
    found, expected = decode_pixels(decoder, pyramid), decoder(tuple(pyramid))
    leaves = [*native, *decoder.parameters()]
    for one, other in ((found.mask_features, expected[0]),
                       *zip(found.memories, expected[1], strict=True)):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    for one, other in zip(gradients(found.mask_features, leaves),
                          gradients(expected[0], leaves), strict=True):
        torch.testing.assert_close(one, other, atol=1e-3 * other.abs().max().item(), rtol=1e-3)
