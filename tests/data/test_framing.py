import pytest
import torch
from torchvision.transforms.v2.functional import rgb_to_grayscale

from src.core.errors import UserError
from src.data.framing import fit_images


def noise(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0)).byte()


def test_images_that_fit_stay_as_they_are() -> None:
    images = noise(3, 1, 5, 6)
    assert fit_images(images, (1, 5, 6)) is images


def test_a_square_fills_a_square() -> None:
    grown = fit_images(torch.full((2, 1, 16, 16), 200, dtype=torch.uint8), (1, 28, 28))
    assert grown.shape == (2, 1, 28, 28)
    assert grown.unique().tolist() == [200]


@pytest.mark.parametrize(("height", "width"), [(10, 20), (20, 10)])
def test_the_shape_is_kept_and_the_rest_is_background(height: int, width: int) -> None:
    [[fitted]] = fit_images(torch.full((1, 1, height, width), 9, dtype=torch.uint8), (1, 40, 40))
    rows, columns = fitted.nonzero(as_tuple=True)
    assert (rows.min(), rows.max() + 1) == (20 - height, 20 + height)
    assert (columns.min(), columns.max() + 1) == (20 - width, 20 + width)


def test_what_is_left_stays_left_and_what_is_up_stays_up() -> None:
    image = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    image[..., :2, :4] = 255
    [[fitted]] = fit_images(image, (1, 16, 16))
    assert fitted[1, 3] == 255
    assert fitted[6:, :].max() == fitted[:, 11:].max() == 0


def test_edges_are_smooth_and_sides_are_at_least_a_pixel() -> None:
    image = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    image[..., 4:] = 255
    assert len(fit_images(image, (1, 28, 28)).unique()) > 4
    assert fit_images(noise(1, 1, 1, 1000), (1, 28, 28)).shape == (1, 1, 28, 28)


def test_each_image_and_channel_is_scaled_by_itself() -> None:
    images = noise(4, 3, 8, 8)
    fitted = fit_images(images, (3, 20, 20))
    alone = fit_images(images[2:3, 1:2], (1, 20, 20))
    assert torch.equal(fitted[2, 1], alone[0, 0])


def test_grey_is_repeated_and_colour_weighed() -> None:
    grey = noise(2, 1, 6, 6)
    assert torch.equal(fit_images(grey, (3, 6, 6)), grey.repeat(1, 3, 1, 1))
    colour = noise(2, 3, 6, 6)
    expected = rgb_to_grayscale(colour.float()).round()
    assert (fit_images(colour, (1, 6, 6)) - expected).abs().max() <= 1


def test_other_channels_are_refused() -> None:
    with pytest.raises(UserError, match=r"data\.target: should have as many channels .* not 2"):
        fit_images(noise(1, 2, 6, 6), (3, 6, 6))
