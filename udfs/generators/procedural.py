"""Draw captions without any model: a shape in its colour in front of a background, with noise.

For trying things out, and for tests: what is drawn follows from the caption's words and the seed.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from udfs.generators.contract import Generator, Picture, Prompt, Settings, encoded
from udfs.generators.scenes import COLOURS, GROUNDS, RELATIONS, SHAPES, Scene, hash_of, scene_of
from udfs.generators.specs import GeneratorSpec
from udfs.kernels.exact.hashing import uniform

SIZE = 64  # pixels
_NOISE = 0.06  # share of a colour's range
_CONTRAST = 0.35  # of backgrounds, around grey, so that concepts stand out
_N_DRAWS = 16  # uniform numbers per image, besides its noise

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

# (x, y) from the centre, in units of the radius -> whether a pixel is inside
INSIDE: dict[str, Callable[[Floats, Floats], Mask]] = {
    "circle": lambda x, y: np.hypot(x, y) < 1,
    "square": lambda x, y: np.maximum(abs(x), abs(y)) < 0.85,
    "triangle": lambda x, y: (y < 0.8) & (y > 2.2 * abs(x) - 1.1),
    "ring": lambda x, y: abs(np.hypot(x, y) - 0.78) < 0.22,
    "cross": lambda x, y: (np.minimum(abs(x), abs(y)) < 0.25) & (np.maximum(abs(x), abs(y)) < 1),
    "diamond": lambda x, y: abs(x) + abs(y) < 1,
    "bar": lambda x, y: (abs(x) < 1) & (abs(y) < 0.35),
    "hexagon": lambda x, y: np.maximum(abs(x), 0.5 * abs(x) + 0.87 * abs(y)) < 0.9,
}


def draw(scene: Scene, seed: int, size: int = SIZE) -> NDArray[np.uint8]:
    """Draw a scene : (size, size, 3) uint8."""
    u = uniform(seed, np.arange(_N_DRAWS))
    axis = (np.arange(size) + 0.5) * (2 / size) - 1
    x, y = np.meshgrid(axis, axis)  # (size, size), y down
    canvas = _ground(scene.ground, u, x, y)
    centre, radius = (u[:2] - 0.5) * 0.2, 0.55 + 0.1 * u[2]
    main = np.array(COLOURS[scene.colour]) * (0.9 + 0.1 * u[3])
    own = INSIDE[scene.shape](*((c - at) / radius for c, at in zip((x, y), centre, strict=True)))
    if scene.relation is None:
        canvas[own] = main
    else:
        dx, dy, is_hiding = RELATIONS[scene.relation]
        other = SHAPES[hash_of(scene.other) % len(SHAPES)]
        near = INSIDE[other]((x - centre[0] - dx) / 0.3, (y - centre[1] - dy) / 0.3)
        grey = np.full(3, 0.3 + 0.4 * u[4])
        for mask, colour in ((own, main), (near, grey))[:: 1 if is_hiding else -1]:
            canvas[mask] = colour
    noise = uniform(seed + 2**32, np.arange(canvas.size)).reshape(canvas.shape) - 0.5
    return np.rint(np.clip(canvas + 2 * _NOISE * noise, 0, 1) * 255).astype(np.uint8)


def _ground(name: str | None, u: Floats, x: Floats, y: Floats) -> Floats:
    """Return a background, above one colour, below another, with waves : (size, size, 3)."""
    above, below = GROUNDS[name or list(GROUNDS)[int(u[5] * len(GROUNDS))]]
    share = np.clip(0.5 + 1.5 * (y - 0.6 * (u[6] - 0.5)), 0, 1)[..., None]
    waves = 0.05 * np.sin((4 + 8 * u[7]) * (x * (u[8] - 0.5) + y * (u[9] - 0.5)) + 6.3 * u[10])
    colours = np.array(above) * (1 - share) + np.array(below) * share
    canvas: Floats = 0.55 + _CONTRAST * (colours - 0.55) + waves[..., None]
    return canvas


def make(settings: Settings) -> Generator:
    """Return the generator."""

    def generate(prompts: Sequence[Prompt]) -> list[Picture]:
        size = settings.size or SIZE
        return [encoded(draw(scene_of(p.text, p.concept), p.seed, size)) for p in prompts]

    return generate


SPEC = GeneratorSpec(name="procedural", make=make, image_seconds=0.003)
