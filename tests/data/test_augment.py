import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2.functional import affine

from src.config.sections import AugmentConfig
from src.core.runtime import generator
from src.data.augment import augment
from src.data.warp import warp

OFF = AugmentConfig(shift=0, rotation=0, scale=0)


@pytest.fixture
def copies() -> Tensor:
    """64 copies of one picture, floats 0 to 255, higher than wide: a bar and a dot."""
    image = torch.zeros(1, 32, 24)
    image[:, 6:26, 10:13] = 255
    image[:, 8:11, 16:19] = 200
    return image.expand(64, 1, 32, 24).clone()


@pytest.mark.parametrize("kind", ["shift", "rotation", "scale"])
def test_each_image_gets_a_draw_of_its_own(copies: Tensor, kind: str) -> None:
    limits = {"shift": 3.0, "rotation": 20.0, "scale": 0.3}
    config = OFF.model_copy(update={kind: limits[kind]})
    augmented = augment(copies, config, generator(0, "augmentation"))
    different = {image.numpy().tobytes() for image in augmented}
    assert len(different) == 64


def test_off_changes_nothing(copies: Tensor) -> None:
    assert torch.equal(augment(copies, OFF, generator(0, "augmentation")), copies)


def test_draws_repeat_with_the_generator_and_move_on_with_it(copies: Tensor) -> None:
    config = AugmentConfig(shift=2, rotation=10, scale=0.1)
    random = generator(0, "augmentation")
    first, second = augment(copies, config, random), augment(copies, config, random)
    assert torch.equal(first, augment(copies, config, generator(0, "augmentation")))
    assert not torch.equal(first, second)


def draws(number: int) -> Tensor:
    """What augment draws first, second, ... from its generator: uniform in -1 to 1."""
    random = generator(0, "augmentation")
    for _ in range(number):
        values = torch.rand(64, generator=random)
    return 2 * values - 1


def test_rotation_and_scale_are_those_of_torchvision(copies: Tensor) -> None:
    """Drawn first and second. An image that is not square tells a turn from a shear."""
    config = AugmentConfig(shift=0, rotation=30, scale=0.2)
    augmented = augment(copies, config, generator(0, "augmentation"))
    for image, result, turn, grow in zip(copies, augmented, draws(1), draws(2), strict=True):
        expected = affine(
            image,
            angle=30 * float(turn),
            translate=[0, 0],
            scale=1 + 0.2 * float(grow),
            shear=[0.0, 0.0],
            interpolation=InterpolationMode.BILINEAR,
        )
        assert torch.allclose(result, expected, atol=0.5)


def test_a_shift_moves_the_centre_by_at_most_its_limit(copies: Tensor) -> None:
    augmented = augment(copies, OFF.model_copy(update={"shift": 2.0}), generator(0, "augmentation"))
    rows, columns = torch.arange(32.0).view(32, 1), torch.arange(24.0)
    for axis, draw in ((columns, draws(3)), (rows, draws(4))):
        before = (copies * axis).sum((1, 2, 3)) / copies.sum((1, 2, 3))
        after = (augmented * axis).sum((1, 2, 3)) / augmented.sum((1, 2, 3))
        assert torch.allclose(after - before, -2.0 * draw, atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 24)])
def test_one_grid_for_the_batch_is_that_of_affine_grid(shape: tuple[int, int, int]) -> None:
    random, (_, height, width) = generator(0, "warp"), shape
    images = 255 * torch.rand(16, *shape, generator=random)
    angle, growth, across, down = 2 * torch.rand(4, 16, generator=random) - 1
    cos, sin, aspect = angle.cos() / (2 + growth), angle.sin() / (2 + growth), height / width
    from_x = torch.stack([cos, sin * aspect, across * 2 / width], dim=1)
    from_y = torch.stack([-sin / aspect, cos, down * 2 / height], dim=1)
    grid = F.affine_grid(torch.stack([from_x, from_y], dim=1), [16, *shape], align_corners=False)
    plain = F.grid_sample(images, grid, align_corners=False)
    assert torch.allclose(warp(images, angle, 2 + growth, across, down), plain, atol=0.01)
